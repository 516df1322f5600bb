"""What was chosen and confirmed at each stratum, in each arm."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate, estimate_mean
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.luck import Key, luck_of, with_intervals
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.config import HARD_LABELS, StudyConfig
from kdsearch.config.metric import VALIDATION
from kdsearch.errors import UserInputError
from kdsearch.results import (
    Results,
    TrialRecord,
    confirmed_choice,
    strata_of,
)
from kdsearch.results.record import Scalar
from kdsearch.results.score import best_trial, objective_value
from kdsearch.results.tolerance import absolute_tolerance


def compute_strata(results: Results) -> StrataInfo:
    """Chosen settings and confirmed scores of every stratum, also of those still empty.

    Raises:
        UserInputError: No tested student has the headline metric.
    """
    config = results.config
    headline = Headline(config.headline)
    _require_measured(results, headline)
    scientific = tuple(config.parameters("scientific"))
    if len(config.objective) > 1:
        strata = tuple(_pareto_strata(results))
    else:
        keys = _stratum_keys(config, results.trials)
        strata = tuple(_stratum(results, key) for key in keys)
    tolerance = absolute_tolerance(config, results.banks, "test")
    confidence = config.study.confidence
    distilled = luck_of([s.distilled for s in strata], tolerance, headline)
    baseline = luck_of([s.baseline for s in strata], tolerance, headline)
    estimates = {
        **with_intervals([s.distilled for s in strata], distilled, headline, confidence),
        **with_intervals([s.baseline for s in strata], baseline, headline, confidence),
    }
    return StrataInfo(
        scientific=scientific,
        strata=tuple(
            s._replace(
                distilled=_with_estimate(s.distilled, estimates),
                baseline=_with_estimate(s.baseline, estimates),
            )
            for s in strata
        ),
        confidence=confidence,
        tolerance=tolerance,
        baseline_asked=config.confirm.baseline,
        distilled_luck=distilled,
        baseline_luck=baseline,
        headline=headline,
        noun=wording.axis_noun(scientific, is_front=len(config.objective) > 1),
        includes_hard_labels=any(
            name == "alpha" and parameter.allows(HARD_LABELS)
            for name, parameter in config.parameters("nuisance").items()
        ),
        chosen_by=_chosen_by(config),
    )


def _chosen_by(config: StudyConfig) -> str:
    names = [objective.metric for objective in config.objective]
    if names == [f"{VALIDATION}{config.headline.name}"]:
        return ""
    return wording.listing([wording.metric(name) for name in names])


def _require_measured(results: Results, headline: Headline) -> None:
    """Records of an older version have its metrics only."""
    tested = [t.test for t in results.select(stage="confirm", state="COMPLETE") if t.test]
    if tested and all(headline.of(test) is None for test in tested):
        raise UserInputError(
            f"study.metric: no confirmed student of {results.config.name} has a finite "
            f"{headline.metric.name} (an older version did not measure it); choose another metric"
        )


def _with_estimate(choice: Choice | None, estimates: Mapping[Key, Estimate]) -> Choice | None:
    if choice is None:
        return None
    found = estimates.get((choice.trial.arm, choice.trial.trial))
    return choice if found is None else choice._replace(test_score=found)


def _stratum_keys(config: StudyConfig, trials: Sequence[TrialRecord]) -> list[dict[str, Scalar]]:
    """What the study asks about, then any further stratum that has distilled records."""
    keys = list(strata_of(config, trials))
    for trial in trials:
        if trial.arm == "distilled" and trial.stratum not in keys:
            keys.append(dict(trial.stratum))
    return keys


def _stratum(results: Results, key: Mapping[str, Scalar]) -> Stratum:
    distilled = [t for t in results.select(arm="distilled") if t.stratum == key]
    baseline = _matching_baseline(results, key)
    return Stratum(
        key=dict(key),
        label=wording.stratum_label(key),
        distilled=_choice(results, distilled),
        baseline=_choice(results, baseline),
        trial_states={
            arm: dict(Counter(t.state for t in trials if t.stage == "search"))
            for arm, trials in (("distilled", distilled), ("baseline", baseline))
            if trials
        },
    )


def _matching_baseline(results: Results, key: Mapping[str, Scalar]) -> list[TrialRecord]:
    """Baseline records of the same student.

    A scientific parameter that does not apply to the baseline arm (temperature, ensemble size)
    is missing in its strata; the most specific stratum that agrees with `key` is taken.
    """
    agreeing = [t for t in results.select(arm="baseline") if t.stratum.items() <= key.items()]
    depth = max((len(t.stratum) for t in agreeing), default=0)
    return [t for t in agreeing if len(t.stratum) == depth]


def _choice(results: Results, trials: list[TrialRecord]) -> Choice | None:
    objective = results.config.objective[0]
    search = {t.trial: t for t in trials if t.stage == "search"}
    tested: dict[int, list[TrialRecord]] = {}
    for t in trials:
        if t.stage == "confirm" and t.state == "COMPLETE" and t.test is not None:
            tested.setdefault(t.trial, []).append(t)
    chosen = next((t for t in search.values() if (t.arm, t.trial) in results.chosen), None)
    standing = confirmed_choice(trials, objective)
    rivals = {n: tested[n] for n in standing.candidates if n in tested} if standing else {}
    is_standing = standing is not None and standing.trial in search and standing.trial in tested
    if standing is not None and is_standing and (chosen is None or chosen.trial not in tested):
        best = search[standing.trial]
        return _make_choice(best, rivals, tested, results, newer=not standing.is_current)
    best = chosen or best_trial(search.values(), objective)
    if best is not None and (best.trial in tested or not tested):
        return _make_choice(best, rivals, tested, results, newer=False)
    if not tested:
        return None
    number = max(tested, key=lambda n: (len(tested[n]), n))
    trial = search.get(number, tested[number][0])
    return _make_choice(trial, {}, tested, results, newer=best is not None)


def _make_choice(
    trial: TrialRecord,
    rivals: Mapping[int, Sequence[TrialRecord]],
    tested: Mapping[int, Sequence[TrialRecord]],
    results: Results,
    *,
    newer: bool,
) -> Choice:
    own = tested.get(trial.trial, [])
    others = tuple(tuple(runs) for number, runs in rivals.items() if number != trial.trial)
    return _choice_of(trial, own, results, newer=newer)._replace(rivals=others)


def _choice_of(
    trial: TrialRecord, replicates: Sequence[TrialRecord], results: Results, *, newer: bool
) -> Choice:
    replicates = sorted(replicates, key=lambda t: t.replicate)
    objective, is_search = results.config.objective[0], trial.stage == "search"
    headline = Headline(results.config.headline)
    validated = [s for t in replicates if (s := headline.of(t.val)) is not None]
    tested = [s for t in replicates if (s := headline.of(t.test)) is not None]
    estimate = estimate_mean(tested, confidence=results.config.study.confidence)
    return Choice(
        trial=trial,
        search_value=objective_value(trial, objective) if is_search else None,
        replicates=tuple(replicates),
        test_score=headline.clipped(estimate),
        val_score=statistics.fmean(validated) if validated else None,
        newer_choice=newer,
    )


def _pareto_strata(results: Results) -> Iterable[Stratum]:
    """One entry for each point of the front and any other confirmed student, smallest first.

    Each arm has its own front, so a confirmed baseline of which no distilled twin is confirmed
    is an entry of its own.
    """
    search = {t.trial: t for t in results.select(stage="search", arm="distilled")}
    confirmed: dict[int, list[TrialRecord]] = {}
    for t in results.select(stage="confirm", arm="distilled"):
        confirmed.setdefault(t.trial, []).append(t)
    numbers = dict.fromkeys([*results.pareto, *confirmed])
    chosen = {
        n: search.get(n) or confirmed[n][0] for n in numbers if n in search or n in confirmed
    }
    paired: set[int] = set()
    for number, trial in sorted(chosen.items(), key=lambda item: item[1].num_params or 0):
        baseline = _pareto_baseline(results, trial)
        if baseline is not None:
            paired.add(baseline.trial.trial)
        tested = [t for t in confirmed.get(number, []) if t.state == "COMPLETE" and t.test]
        yield Stratum(
            key=dict(trial.stratum),
            label=f"trial {number}" + (f", width {trial.width}" if trial.width else ""),
            distilled=_choice_of(trial, tested, results, newer=False),
            baseline=baseline,
            trial_states={},
        )
    yield from _lone_baselines(results, paired)


def _lone_baselines(results: Results, paired: set[int]) -> Iterable[Stratum]:
    """Confirmed baselines that stand beside no distilled student, smallest first."""
    search = {t.trial: t for t in results.select(stage="search", arm="baseline")}
    tested: dict[int, list[TrialRecord]] = {}
    for t in results.select(stage="confirm", arm="baseline", state="COMPLETE"):
        if t.test and t.trial not in paired:
            tested.setdefault(t.trial, []).append(t)
    for number, runs in sorted(tested.items(), key=lambda item: item[1][0].num_params or 0):
        trial = search.get(number, runs[0])
        yield Stratum(
            key=dict(trial.stratum),
            label=f"hard labels trial {number}"
            + (f", width {trial.width}" if trial.width else ""),
            distilled=None,
            baseline=_choice_of(trial, runs, results, newer=False),
            trial_states={},
        )


def _pareto_baseline(results: Results, distilled: TrialRecord) -> Choice | None:
    """The confirmed baseline of the same student: the same trial number, else the same size."""
    twins = [
        t
        for t in results.select(stage="confirm", arm="baseline", state="COMPLETE")
        if t.test and t.stratum == distilled.stratum and t.num_params == distilled.num_params
    ]
    same = [t for t in twins if t.trial == distilled.trial]
    number = twins[0].trial if twins else None
    twins = same or [t for t in twins if t.trial == number]
    return _choice_of(twins[0], twins, results, newer=False) if twins else None
