"""What the study found and what to do, in plain sentences."""

from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate, estimate_mean
from kdsearch.analysis.gain import Gain, GainInfo, gain_sentence
from kdsearch.analysis.saturation import SaturationInfo
from kdsearch.analysis.strata import Choice, StrataInfo, Stratum
from kdsearch.analysis.teachers import TeachersInfo
from kdsearch.results import Results

KEEPS_UP = 0.005
"""A student within half a point of the best one keeps up with it."""


class FindingInfo(NamedTuple):
    """The report's first lines."""

    question: str
    finding: tuple[str, ...]
    """Two sentences: how accurate the students are, and whether distillation helps."""
    recommendation: str
    recommended: Stratum | None


def compute_finding(
    results: Results,
    strata: StrataInfo,
    teachers: TeachersInfo,
    gain: GainInfo,
    saturation: SaturationInfo,
) -> FindingInfo:
    """The sentences of a study, also of an unfinished one.

    Args:
        results: The study.
        strata: Its strata.
        teachers: Its teachers.
        gain: Its distillation gains.
        saturation: The verdict on its capacity curve.
    """
    recommended = _recommended(strata, saturation)
    return FindingInfo(
        question=results.config.question_text,
        finding=(_accuracy_sentence(strata, teachers, saturation.clause), gain_sentence(gain)),
        recommendation=_recommendation(results, strata, teachers, gain, recommended),
        recommended=recommended,
    )


def _accuracy_sentence(info: StrataInfo, teachers: TeachersInfo, saturation: str) -> str:
    confirmed = info.confirmed
    if not confirmed:
        done = sum(s.distilled is not None for s in info.strata)
        return (
            f"Nothing is confirmed yet ({done} of {len(info.strata)} strata have a complete "
            "search trial), so nothing can be said about test accuracy."
            if info.strata
            else "Nothing is confirmed yet, so nothing can be said about test accuracy."
        )
    reference = _reference(teachers)
    if len(confirmed) == 1:
        only = confirmed[0]
        name = f"at {only.label} " if only.label else ""
        return f"The distilled student {name}reaches {_accuracy(only)} on the test set{reference}."
    if _varying_size(confirmed):
        ordered = sorted(confirmed, key=lambda s: s.num_params or 0)
        first, last = ordered[0], ordered[-1]
        sentence = (
            f"Distilled students reach {_accuracy(first)} at {_sized(first)} and "
            f"{_accuracy(last)} at {_sized(last)}{reference}"
        )
    else:
        ordered = sorted(confirmed, key=_mean)
        sentence = (
            f"Test accuracy is highest at {ordered[-1].label} ({_accuracy(ordered[-1])}) and "
            f"lowest at {ordered[0].label} ({_accuracy(ordered[0])}){reference}"
        )
    return f"{sentence}; {saturation}." if saturation else f"{sentence}."


def _reference(teachers: TeachersInfo) -> str:
    if len(teachers.banks) != 1:
        return ""
    bank = teachers.banks[0]
    full = bank.full_ensemble
    if full is not None and full.size > 1 and full.test is not None:
        return f", beside {wording.percent(full.test)} for the ensemble of {full.size} teachers"
    if bank.mean_member_test is not None:
        return f", beside {wording.percent(bank.mean_member_test)} for the teacher"
    return ""


def _recommended(info: StrataInfo, saturation: SaturationInfo) -> Stratum | None:
    """The smallest student at or above the saturation size, where one is claimed.

    Otherwise the smallest within `KEEPS_UP` of the best; without sizes, the best.
    """
    confirmed = info.confirmed
    if not confirmed:
        return None
    best = max(confirmed, key=_mean)
    if not _varying_size(confirmed):
        return best
    good = [s for s in confirmed if _mean(s) >= _mean(best) - KEEPS_UP]
    if saturation.verdict == "saturated" and saturation.fit is not None:
        # The curve has seen every size; the best mean is the luckiest of many.
        enough = saturation.fit.saturation_size
        good = [s for s in confirmed if (s.num_params or 0) >= enough] or good
    return min(good, key=lambda s: (s.num_params or 0, -_mean(s)))


def _recommendation(
    results: Results,
    info: StrataInfo,
    teachers: TeachersInfo,
    gain: GainInfo,
    chosen: Stratum | None,
) -> str:
    if chosen is None or chosen.distilled is None:
        if results.config.confirm.replicates == 0:
            return "Set confirm.replicates to 3 or more and run the study again to test students."
        return (
            f"Run `kdsearch study run` on {results.config.name} to its end before using any of it."
        )
    trial = chosen.distilled.trial
    bank = teachers.bank_for(trial.settings, results)
    name = chosen.label or "the student with the best settings"
    size = _size_clause(chosen, bank.num_params if bank else None)
    parts = [f"{name[0].upper()}{name[1:]}{size} {_keeps(chosen, teachers, results)}"]
    own_gain = next((g for g in gain.gains if g.label == chosen.label), None)
    parts.append(_settings_clause(chosen, own_gain))
    larger = _larger_clause(info, chosen)
    return "; ".join([*parts, larger] if larger else parts) + "."


def _size_clause(stratum: Stratum, teacher_params: int | None) -> str:
    if stratum.num_params is None:
        return ""
    clause = f"{wording.count(stratum.num_params)} parameters"
    if teacher_params and stratum.num_params:
        ratio = teacher_params / stratum.num_params
        times = ratio if ratio >= 1 else 1 / ratio
        word = "smaller" if ratio >= 1 else "larger"
        if times >= 1.05:
            clause += f", {times:.1f}× {word}" if times < 9.95 else f", {times:.0f}× {word}"
            clause += " than one teacher"
    return f" ({clause})"


def _keeps(stratum: Stratum, teachers: TeachersInfo, results: Results) -> str:
    assert stratum.distilled is not None
    bank = teachers.bank_for(stratum.distilled.trial.settings, results)
    full = bank.full_ensemble if bank else None
    mean = _mean(stratum)
    if full is None or not full.test:
        return f"reaches {_accuracy(stratum)} on the test set"
    whom = f"the {full.size}-teacher ensemble" if full.size > 1 else "its teacher"
    return f"keeps {wording.percent(mean / full.test)} of {whom} ({_accuracy(stratum)})"


def _settings_clause(stratum: Stratum, gain: Gain | None) -> str:
    assert stratum.distilled is not None
    if gain is not None and gain.verdict == "hurts" and stratum.baseline is not None:
        rate = wording.scalar(stratum.baseline.trial.learning_rate)
        amount = wording.points(gain.estimate.mean if gain.estimate else None)
        return (
            f"train it on hard labels (learning rate {rate}): distillation costs {amount} points"
        )
    trial = stratum.distilled.trial
    settings = [
        f"T = {wording.scalar(trial.temperature)}",
        f"alpha = {wording.scalar(trial.alpha)}",
    ]
    if trial.ensemble_size is not None:
        settings.append(wording.plural(trial.ensemble_size, "teacher"))
    settings.append(f"learning rate {wording.scalar(trial.learning_rate)}")
    return ", ".join(settings)


def _larger_clause(info: StrataInfo, chosen: Stratum) -> str:
    """What larger students would add, and how sure that is."""
    larger = [s for s in info.confirmed if (s.num_params or 0) > (chosen.num_params or 0)]
    if not larger or not _varying_size(info.confirmed):
        return ""
    best = max(larger, key=_mean)
    if best.distilled is None or chosen.distilled is None:
        return ""
    difference = _paired(best.distilled, chosen.distilled)
    if difference is None or difference.high is None:
        return "how much larger students gain is not certain: one replicate has no standard error"
    limit = f"{100 * KEEPS_UP:g} points"
    if difference.high < KEEPS_UP:
        return f"larger students gain less than {limit}"
    if difference.mean >= KEEPS_UP:
        return (
            f"{best.label} gained {wording.points(difference.mean)} points more "
            f"({wording.points_interval(difference.low, difference.high)})"
        )
    return (
        f"larger students gain less than {limit} on average, but up to "
        f"{wording.points(difference.high)} is not excluded: more replicates would tell"
    )


def _paired(a: Choice, b: Choice) -> Estimate | None:
    """Difference a - b over the replicates that both have; they share seeds."""
    left = {t.replicate: t.test.accuracy for t in a.replicates if t.test}
    right = {t.replicate: t.test.accuracy for t in b.replicates if t.test}
    return estimate_mean([left[r] - right[r] for r in sorted(left.keys() & right.keys())])


def _mean(stratum: Stratum) -> float:
    assert stratum.distilled is not None
    assert stratum.distilled.test_accuracy is not None
    return stratum.distilled.test_accuracy.mean


def _accuracy(stratum: Stratum) -> str:
    assert stratum.distilled is not None
    return wording.estimate(stratum.distilled.test_accuracy, digits=1)


def _sized(stratum: Stratum) -> str:
    return f"{stratum.label} ({wording.count(stratum.num_params)} parameters)"


def _varying_size(strata: tuple[Stratum, ...]) -> bool:
    return len({s.num_params for s in strata if s.num_params is not None}) > 1
