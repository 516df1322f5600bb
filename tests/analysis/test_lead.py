"""The question that was asked decides the first sentence and the first figure of a report."""

import dataclasses

import numpy as np
import pytest
from summary import Summary, compute_summary
from synthetic import evaluation, make_results, study_config, teacher_bank

from kdsearch.analysis.finding import MAX_POINTS
from kdsearch.results import Results, TrialRecord

WIDTHS = (8, 16, 32, 64, 128, 256)
FRONT = [
    {"metric": "val_accuracy", "direction": "maximize"},
    {"metric": "num_params", "direction": "minimize"},
]
NOISE = (-0.002, -0.001, 0.0, 0.001, 0.002)


def asked(kind: str | None, **changes) -> Summary:
    """The usual study of widths, asking something else."""
    config = study_config(study={"asks": kind} if kind else {})
    return compute_summary(make_results(config=config, **changes))


def of_one_parameter(name: str, means: dict, *, field: str | None = None) -> Results:
    """Confirmed test accuracies by a scientific parameter that leaves the student as it is."""
    search = {
        name: {"role": "scientific", "values": list(means)},
        "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-2},
    }
    one = make_results(widths=(64,), trials=4, replicates=5, arms=("distilled",)).trials
    trials = []
    for index, (value, mean) in enumerate(means.items()):
        for t in one:
            update = {
                "trial": t.trial + 10 * index,
                "stratum": {name: value},
                "settings": t.settings | {name: value},
                field or name: value,
            }
            if t.stage == "confirm":
                score = mean + NOISE[(t.replicate + index) % 5]
                update |= {"test": evaluation(score), "val": evaluation(mean)}
            trials.append(t.model_copy(update=update | {"test_correct": None}))
    teacher = {"model": {"kind": "conv1d", "width": 64}, "members": 8}
    config = study_config(search=search, teacher=teacher)
    return Results(config, tuple(trials), (teacher_bank(8),))


def first_figure(summary: Summary) -> str:
    return next(iter(summary.figures()))


def test_a_study_of_size_is_answered_by_the_verdict_on_its_curve():
    summary = asked(None)
    assert summary.finding.answer.startswith("Accuracy ")
    assert summary.saturation.clause[1:] in summary.finding.answer
    assert first_figure(summary) == "capacity"
    # Once is enough: how good students are does not say it again.
    assert not any(summary.saturation.clause in point for point in summary.finding.points)


def peaked(t: TrialRecord) -> dict:
    """A search in which every width wants T = 4 and alpha 0.3."""
    if t.stage != "search" or t.arm != "distilled" or t.state == "FAIL":
        return {}
    loss = 0.05 * np.log(t.temperature / 4) ** 2 + 0.3 * (t.alpha - 0.3) ** 2
    loss += 0.03 * np.log(t.learning_rate / 4e-3) ** 2
    value = 0.7 + 0.02 * np.log2(t.width / 8) - float(loss)
    return {"val": evaluation(value, 800), "state": "COMPLETE", "history": ()}


def test_a_study_of_temperature_is_answered_by_the_settings_to_take():
    base = make_results(trials=40, config=study_config(study={"asks": "temperature_alpha"}))
    trials = tuple(t.model_copy(update=peaked(t)) for t in base.trials)
    summary = compute_summary(dataclasses.replace(base, trials=trials))
    answer = summary.finding.answer
    assert "a pair drawn at random from the range costs" in answer
    assert answer.startswith(("One setting serves all: T = ", "No one setting serves all: T = "))
    assert first_figure(summary) == "temperature_alpha"
    # The verdict on size is still said.
    assert any(summary.saturation.clause in point for point in summary.finding.points)


def test_flat_settings_are_called_flat():
    base = make_results(
        trials=40, config=study_config(study={"asks": "temperature_alpha", "tolerance": 0.02})
    )
    rng = np.random.default_rng(3)
    flat = tuple(
        t.model_copy(update={"val": evaluation(0.8 + float(rng.normal(0, 0.01)), 800)})
        if t.stage == "search" and t.state == "COMPLETE"
        else t
        for t in base.trials
    )
    answer = compute_summary(dataclasses.replace(base, trials=flat)).finding.answer
    assert answer.startswith("Temperature and alpha hardly matter: what may be best (90 %) spans")


def test_what_the_trials_do_not_tell_is_not_called_flat():
    answer = asked("temperature_alpha", trials=40).finding.answer
    assert answer.startswith("Which temperature and alpha are best these trials do not tell")


@pytest.mark.parametrize(
    ("means", "start", "end"),
    [
        ({1: 0.8499, 2: 0.8498, 8: 0.85}, "Ensemble size 1 is enough: against 8", "n = 5 repl"),
        ({1: 0.80, 2: 0.8499, 8: 0.85}, "Ensemble size 2 is enough: against 8", "n = 5 repl"),
        ({1: 0.80, 2: 0.81, 8: 0.85}, "Ensemble size 8 is the best by validation, and no", "(90"),
    ],
)
def test_the_least_ensemble_that_is_enough_is_named(means, start, end):
    summary = compute_summary(of_one_parameter("ensemble_size", means))
    assert summary.context.results.config.asks == "ensemble_size"
    assert summary.finding.answer.startswith(start)
    assert end in summary.finding.answer


def test_values_that_have_no_order_are_listed():
    means = {"adam": 0.85, "sgd": 0.80}
    results = of_one_parameter("training.optimizer", means, field="failure")
    trials = tuple(t.model_copy(update={"failure": None}) for t in results.trials)
    summary = compute_summary(dataclasses.replace(results, trials=trials))
    assert summary.context.results.config.asks == "levels"
    assert summary.finding.answer.startswith("Validation picks optimizer adam; ")


def test_a_study_of_epochs_is_answered_by_the_speed_of_learning():
    summary = asked("epochs")
    assert summary.finding.answer.startswith("Distilled students ")
    assert "% of their final validation accuracy after" in summary.finding.answer
    assert first_figure(summary) == "convergence"


def test_whether_distillation_helps_may_be_the_question():
    summary = asked("gain")
    assert summary.finding.answer.startswith("Distillation helps at width ")
    assert first_figure(summary) == "gain"


def test_a_study_of_cost_says_what_enough_costs():
    means = {8: 0.80, 16: 0.86, 32: 0.897, 64: 0.898, 128: 0.898, 256: 0.898}
    base = make_results(config=study_config(study={"asks": "cost", "tolerance": 0.01}))
    trials = tuple(
        t.model_copy(
            update={
                "test": evaluation(means[t.width] + NOISE[t.replicate - 1] / 2),
                "test_correct": None,
            }
        )
        if t.stage == "confirm"
        else t
        for t in base.trials
    )
    answer = compute_summary(dataclasses.replace(base, trials=trials)).finding.answer
    assert answer.startswith("Accuracy saturates at ")
    assert " multiply-accumulates a sample, " in answer
    assert answer.endswith(" times fewer than the largest tested.")


def front(replicates: int) -> Results:
    search = {
        "width": {"role": "nuisance", "low": 8, "high": 256, "log": True},
        "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
    }
    base = make_results(
        trials=4,
        replicates=replicates,
        arms=("distilled",),
        config=study_config(search=search, objective=FRONT, sampler={"kind": "nsga2"}),
    )
    trials = tuple(t.model_copy(update={"stratum": {}}) for t in base.trials)
    confirmed = {t.trial for t in trials if t.stage == "confirm"}
    on_front = confirmed or {t.trial for t in trials if t.state == "COMPLETE"}
    return dataclasses.replace(base, trials=trials, pareto=tuple(sorted(on_front)))


def test_a_front_is_named_and_how_much_of_it_stays():
    summary = compute_summary(front(3))
    answer = summary.finding.answer
    assert " students are unbeaten in validation accuracy and parameters: trial " in answer
    assert "of the 6 confirmed stay so on test." in answer
    assert first_figure(summary) == "pareto"


def test_before_it_is_confirmed_a_front_is_search_values_alone():
    answer = compute_summary(front(0)).finding.answer
    assert answer.endswith("by search values alone: none is confirmed yet.")


def test_where_the_answer_is_not_known_what_is_known_comes_first():
    summary = asked("temperature_alpha", trials=2, replicates=2)
    assert summary.finding.answer.startswith("Distilled students reach ")


@pytest.mark.parametrize("kind", [None, "temperature_alpha", "epochs", "gain", "cost"])
def test_a_few_points_stand_beside_the_answer_and_nothing_is_lost(kind):
    finding = asked(kind).finding
    assert len(finding.points) <= MAX_POINTS
    said = [finding.answer, *finding.points, *finding.details]
    assert len(said) == len(set(said))
    assert any(sentence.startswith("Distillation helps") for sentence in said)
    assert any("explains" in sentence for sentence in said)
