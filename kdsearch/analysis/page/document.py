"""results.json: the report's numbers for programs."""

import platform
from importlib import metadata
from typing import Any

from kdsearch.analysis.answer import Answers, answer_documents
from kdsearch.analysis.answers.gain import GAIN, Gain, gain_document
from kdsearch.analysis.context import Context
from kdsearch.analysis.estimate import estimate_accuracy, estimate_document
from kdsearch.analysis.finding import FindingInfo
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.searching.budget import budget_in
from kdsearch.analysis.searching.rungs import rungs_in
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.config import StudyConfig
from kdsearch.errors import UserInputError
from kdsearch.results import Results, TeacherBankRecord
from kdsearch.results.pairing import replicate_scores
from kdsearch.results.record import Evaluation

PACKAGES = ("kdsearch", "torch", "optuna", "mlflow", "numpy", "scipy", "pandas", "matplotlib")


def json_document(context: Context, finding: FindingInfo, answers: Answers) -> dict[str, Any]:
    """JSON-ready: no NaN, no tuples as keys; accuracies are fractions.

    Values of the headline metric, and differences of two, have its own sign; what is called a
    gain from one size to another is above 0 where the larger is better.

    Raises:
        UserInputError: An answer gives a key that is taken.
    """
    results, config, strata = context.results, context.results.config, context.strata
    budget, recommended = context.of(budget_in), finding.recommended
    gain, headline = context.of(GAIN.compute), strata.headline
    head = {
        "study": config.name,
        "question": finding.question,
        "asks": config.asks,
        "metric": {
            "name": headline.metric.name,
            "direction": headline.metric.direction,
            "unit": headline.metric.unit,
        },
        "finding": list(finding.finding),
        "details": list(finding.details),
        "recommendation": finding.recommendation,
        "recommended_stratum": recommended and recommended.key,
    }
    rest = {
        "strata": [_stratum(s, gain.at(s), strata) for s in strata.strata],
        "teachers": [_bank(bank, headline) for bank in results.banks],
        "importance": dict(results.importance),
        "pareto": list(results.pareto),
        "alpha_convention": "alpha * CE + (1 - alpha) * T^2 * KL: alpha weights the hard loss",
        "learning_rate_policy": learning_rate_policy(results.config),
        "trials": {
            "search_states": budget.states,
            "per_stratum": [
                {"stratum": label, "arm": arm, "trials": n} for label, arm, n in budget.per_stratum
            ],
            "equal_budget": budget.equal,
            "student_epochs": list(budget.epochs),
            "rungs": [rung._asdict() for rung in context.of(rungs_in)],
            "failures": list(budget.failures),
        },
        "test_openings": budget.test_openings,
        "confidence": config.study.confidence,
        "tolerance": strata.tolerance,
        "seeds": seeds(results),
        "command": results.command,
        "versions": versions(),
        "config": config.model_dump(mode="json"),
    }
    answered = answer_documents(context, answers)
    if taken := sorted(answered.keys() & (head.keys() | rest.keys())):
        raise UserInputError(f"results.json has {', '.join(taken)} of its own: rename the key")
    return head | answered | rest


def versions() -> dict[str, str]:
    """Versions of what made the results, as installed where the report is written."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def seeds(results: Results) -> dict[str, Any]:
    """The seeds that the study file names, and the training seeds of the confirmed replicates."""
    replicates: dict[int, set[int]] = {}
    for t in results.select(stage="confirm"):
        replicates.setdefault(t.replicate, set()).add(t.seed)
    return {
        "study": results.config.seed,
        "data": results.config.data.seed,
        "teacher": results.config.teacher.seed,
        "replicates": {str(r): sorted(replicates[r]) for r in sorted(replicates)},
    }


def learning_rate_policy(config: StudyConfig) -> str:
    """How the study keeps the learning rate from being confounded with the student's size."""
    names = ("learning_rate", "training.learning_rate")
    parameter = next((config.search[n] for n in names if n in config.search), None)
    mup = config.training.lr_scaling == "mup"
    scaled = f", scaled by the muP rule from width {config.training.mup_base_width}" if mup else ""
    if parameter is not None and parameter.role == "nuisance":
        where = (
            "for every scientific value and arm"
            if config.parameters("scientific")
            else "in each arm"
        )
        return f"tuned {where} with the same budget{scaled}"
    if parameter is not None and parameter.role == "scientific":
        return f"a scientific parameter of this study{scaled}"
    if mup:
        return f"one rate{scaled}"
    return (
        "one fixed rate for every student: a comparison across sizes is confounded with it, "
        "because each size has its own best rate"
    )


def _stratum(stratum: Stratum, gain: Gain | None, info: StrataInfo) -> dict[str, Any]:
    return {
        "label": stratum.label,
        "stratum": stratum.key,
        "num_params": stratum.num_params,
        "search_trials": stratum.trial_states,
        "distilled": _choice(stratum.distilled, info),
        "baseline": _choice(stratum.baseline, info),
        "gain": gain and gain_document(gain, info.headline),
    }


def _choice(choice: Choice | None, info: StrataInfo) -> dict[str, Any] | None:
    if choice is None:
        return None
    trial = choice.trial
    return {
        "trial": trial.trial,
        "settings": trial.settings,
        "width": trial.width,
        "num_params": trial.num_params,
        "macs": trial.macs,
        "size_bytes": trial.size_bytes,
        **_tested(choice, info),
        "search_objective_best_of_n": choice.search_value,
        "search_has_newer_choice": choice.newer_choice,
    }


def _bank(bank: TeacherBankRecord, headline: Headline) -> dict[str, Any]:
    return {
        "key": bank.key,
        "settings": bank.settings,
        "members": [
            {
                "member": m.member,
                "model": m.model,
                "num_params": m.num_params,
                "macs": m.macs,
                "size_bytes": m.size_bytes,
                "epochs": m.epochs,
                **_evaluated(m.val, m.test, headline),
            }
            for m in bank.members
        ],
        "ensembles": [
            {"size": e.size, **_evaluated(e.val, e.test, headline)} for e in bank.ensembles
        ],
    }


def _tested(choice: Choice, info: StrataInfo) -> dict[str, Any]:
    """What the replicates reach on test: the headline metric, beside accuracy."""
    headline, name = info.headline, f"test_{info.headline.metric.name}"
    accuracies = [t.test.accuracy for t in choice.replicates if t.test]
    known = {
        "test_accuracy": estimate_document(
            estimate_accuracy(accuracies, confidence=info.confidence)
        ),
        "test_accuracy_replicates": accuracies,
    }
    scores = replicate_scores(choice.replicates, headline.metric).values()
    return known | {
        name: headline.document(choice.test_score),
        f"{name}_replicates": [headline.own(value) for value in scores],
    }


def _evaluated(
    val: Evaluation, test: Evaluation | None, headline: Headline
) -> dict[str, float | None]:
    """A teacher or an ensemble: accuracy, and the headline metric beside it."""
    own = headline.metric.name
    return {
        f"{split}_{name}": None if evaluation is None else evaluation.value(name)
        for name in dict.fromkeys(["accuracy", own])
        for split, evaluation in (("val", val), ("test", test))
    }
