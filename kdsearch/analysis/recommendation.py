"""Which student to use, how good it is, and how to build it again."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.answers.capacity.saturation import SaturationInfo
from kdsearch.analysis.answers.gain import GAIN, GainInfo
from kdsearch.analysis.answers.optimum_view import OPTIMUM, choice_words
from kdsearch.analysis.comparison import difference
from kdsearch.analysis.context import Context
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.capacity import CapacityFit
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.analysis.teachers import EnsembleScore, TeachersInfo
from kdsearch.config import StudyConfig
from kdsearch.results import Results, TrialRecord, champion_of

NEAR_TEACHER = 0.05
"""A student more than five points behind its teachers does not keep up with them."""
SHARE_KEPT = 0.9
"""Nor does one that keeps less of their accuracy."""
WEAK_TEACHER = 2.0
"""A teacher below twice the accuracy of chance, which is one in the number of classes, has not
learned what it should teach; one that is beaten by `NEAR_TEACHER` has not either."""


class RecommendationInfo(NamedTuple):
    """What to use."""

    text: str
    recommended: Stratum | None
    champion: Stratum | None
    """The stratum whose student is registered: the best validation score of all."""
    keeps_up: bool
    """Whether any tested student comes near its teachers; True where they are not known."""


def compute_recommendation(
    results: Results,
    strata: StrataInfo,
    teachers: TeachersInfo,
    gain: GainInfo,
    saturation: SaturationInfo,
    regions: Mapping[str, str],
) -> RecommendationInfo:
    """The student that validation picks, with its test value.

    Choosing by the test set would report the luckiest of the students as the best of them.

    Args:
        results: The study.
        strata: Its strata.
        teachers: Its teachers.
        gain: Its distillation gains.
        saturation: The verdict on its capacity curve.
        regions: Which temperatures and alphas are as good as the best, in words, by stratum.
    """
    config = results.config
    champion = _champion(strata, config)
    chosen = _recommended(strata, saturation)
    if chosen is None or chosen.distilled is None:
        return RecommendationInfo(_next_step(results), None, champion, keeps_up=True)
    region = regions.get(chosen.label, "")
    words = _Recommendation(results, strata, teachers, gain, saturation.fit, chosen, region)
    text = words.text()
    registered = config.tracking.models != "none"
    if registered and champion is not None and champion.label != chosen.label:
        text += f" Registered as models:/{config.name}@champion is {champion.label}, "
        text += f"the best by {wording.metric(config.objective[0].metric)}."
    return RecommendationInfo(text, chosen, champion, words.keeps_up)


def recommendation_in(context: Context) -> RecommendationInfo:
    """Of the study under analysis."""
    optimum = context.of(OPTIMUM.compute)
    return compute_recommendation(
        context.results,
        context.strata,
        context.teachers,
        context.of(GAIN.compute),
        context.of(CAPACITY.compute).saturation,
        {o.label: choice_words(o, optimum) for o in optimum.optima},
    )


def validation(stratum: Stratum) -> float:
    """Mean validation score of the confirmed replicates."""
    assert stratum.distilled is not None
    assert stratum.distilled.val_score is not None
    return stratum.distilled.val_score


def varying_size(strata: tuple[Stratum, ...]) -> bool:
    """Whether the students differ in their number of parameters."""
    return len({s.num_params for s in strata if s.num_params is not None}) > 1


def score_words(stratum: Stratum, headline: Headline) -> str:
    """Confirmed test value: `87.3 ± 0.1 %`."""
    assert stratum.distilled is not None
    return headline.estimate(stratum.distilled.test_score)


def every_failure(results: Results) -> str:
    """Why nothing came of a stage: its most frequent reason; empty if something did."""
    for what, trials in (
        ("distilled confirm run", results.select(stage="confirm", arm="distilled")),
        ("distilled trial", results.select(stage="search", arm="distilled")),
    ):
        if not trials:
            continue
        if {t.state for t in trials} != {"FAIL"}:
            return ""
        reasons = Counter((t.failure or "unknown reason").rstrip(". ") for t in trials)
        reason, n = reasons.most_common(1)[0]
        often = f"in {n} of {len(trials)} cases" if len(reasons) > 1 else "always"
        each = f"all {len(trials)} {what}s" if len(trials) > 1 else f"the only {what}"
        return f"{each} failed, {often} with: {reason}"
    return ""


def _champion(info: StrataInfo, config: StudyConfig) -> Stratum | None:
    """The stratum whose student the study registers."""
    standing = [
        (s, s.distilled) for s in info.confirmed if s.distilled and not s.distilled.newer_choice
    ]
    runs = [run for _, choice in standing for run in choice.replicates]
    best = champion_of([choice.trial for _, choice in standing], runs, config.objective[0])
    if best is None:
        return None
    return next(s for s, c in standing if (c.trial.trial, s.key) == (best.trial, best.stratum))


def _recommended(info: StrataInfo, saturation: SaturationInfo) -> Stratum | None:
    """The smallest student that is shown to be enough, or else the best by validation.

    The smallest within the tolerance of the best would lose more than that in nearly every
    second study whose curve rises slowly. Where sizes are crossed with something else, so that
    there is no one curve, it is still the smallest within the tolerance.
    """
    confirmed = info.confirmed
    if not confirmed:
        return None
    best = max(confirmed, key=validation)
    if not varying_size(confirmed):
        return best
    if saturation.fit is not None:
        enough = saturation.fit.enough_size
        return next((s for s in confirmed if s.num_params == enough), best)
    good = [s for s in confirmed if validation(s) >= validation(best) - info.tolerance]
    return min(good, key=lambda s: (s.num_params or 0, -validation(s)))


def _next_step(results: Results) -> str:
    failed = every_failure(results)
    name = results.config.name
    if failed:
        return f"Mend what failed and run {name} again: {failed}."
    if results.config.confirm.replicates == 0:
        return "Set confirm.replicates to 3 or more and run the study again to test students."
    return f"Run `kdsearch study run` on {name} to its end before using any of it."


class _Recommendation:
    """The sentences about the chosen student."""

    def __init__(
        self,
        results: Results,
        strata: StrataInfo,
        teachers: TeachersInfo,
        gain: GainInfo,
        fit: CapacityFit | None,
        chosen: Stratum,
        region: str,
    ) -> None:
        assert chosen.distilled is not None
        self._region = region
        self._fit = fit
        self._strata = strata
        self._headline = strata.headline
        self._chosen = chosen
        self._choice = chosen.distilled
        self._config = results.config
        self._num_classes = results.num_classes
        self._gain = next((g for g in gain.gains if g.label == chosen.label), None)
        self._bank = teachers.bank_for(self._choice.trial.settings, results)
        self._full = self._bank.full_ensemble if self._bank else None
        self._keeping_up = any(
            _keeps_up(s, full, strata.headline)
            for s in strata.confirmed
            if s.distilled is not None
            and (bank := teachers.bank_for(s.distilled.trial.settings, results)) is not None
            and (full := bank.full_ensemble) is not None
        )

    @property
    def keeps_up(self) -> bool:
        """Whether any tested student comes near its teachers; True where they are not known."""
        return self._full is None or not self._full.test or self._keeping_up

    def text(self) -> str:
        """The recommendation without the registered champion."""
        parts = [self._lead(), self._settings_clause(), self._larger_clause()]
        return "; ".join(filter(None, parts)) + "."

    def _lead(self) -> str:
        name = self._chosen.label or "the student with the best settings"
        named = f"{name}{self._size_clause()}"
        headline, full = self._headline, self._full
        reached = headline.estimate(self._choice.test_score)
        named_value = f"{headline.article}{reached}"
        capital = f"{named[0].upper()}{named[1:]}"
        if full is None or not full.test:
            where = " on the test set" if headline.is_accuracy else ""
            return f"{capital} reaches {named_value}{where}"
        whom = f"the {full.size}-teacher ensemble" if full.size > 1 else "its teacher"
        mean = _test(self._choice)
        if mean > full.test:
            words = f"{capital} is better than {whom} ({named_value} beside "
            words += f"{headline.value(full.test)})"
            return words + self._weak_clause(mean, full)
        if not headline.is_accuracy_like:
            return self._difference_clause(capital, whom, mean, full.test)
        if not self._keeping_up:
            if len(self._strata.confirmed) == 1:
                words = f"{capital} does not keep up with {whom} ({headline.value(full.test)})"
                return f"{words}{self._weak_clause(mean, full)}; it reaches {named_value}"
            return (
                f"No tested student keeps up with {whom} ({headline.value(full.test)})"
                f"{self._weak_clause(mean, full)}; of those tested, validation picks {named}, "
                f"which reaches {named_value}"
            )
        share = wording.percent(mean / full.test)
        errors, of = "", ""
        if full.test < 1:
            what = "errors" if headline.is_accuracy else "distance to 100 %"
            errors = f", with {(1 - mean) / (1 - full.test):.1f} times its {what}"
        if not headline.is_accuracy:
            of = f"the {headline.words} of "
        kept = f"{capital} keeps {share} of {of}{whom} ({reached}){errors}"
        return kept + self._weak_clause(mean, full)

    def _difference_clause(self, capital: str, whom: str, mean: float, teacher: float) -> str:
        """Beside a teacher that is no worse, by a metric of which no share can be kept."""
        headline, estimate = self._headline, self._choice.test_score
        assert estimate is not None
        away = headline.difference(mean - teacher, wording.places_of(estimate))
        reached = f"{headline.article}{headline.estimate(estimate)}"
        return (
            f"{capital} reaches {reached}, {away}{headline.points} beside the "
            f"{headline.value(teacher)} of {whom}"
        )

    def _weak_clause(self, mean: float, full: EnsembleScore) -> str:
        assert full.test is not None
        if not self._headline.is_accuracy_like:
            return ""
        classes = self._num_classes if self._headline.has_chance else None
        by_chance = classes is not None and full.test < WEAK_TEACHER / classes
        if not by_chance and mean - full.test <= NEAR_TEACHER:
            return ""
        return "; that is a weak teacher, so check how it was trained before believing any of this"

    def _size_clause(self) -> str:
        size = self._chosen.num_params
        teacher = self._bank.num_params if self._bank else None
        if size is None:
            return ""
        clause = f"{wording.count(size)} parameters"
        if teacher and size:
            times = max(teacher / size, size / teacher)
            word = "smaller" if teacher > size else "larger"
            if times >= 1.05:
                clause += f", {times:.1f}× {word}" if times < 9.95 else f", {times:.0f}× {word}"
                clause += " than one teacher"
        return f" ({clause})"

    def _settings_clause(self) -> str:
        baseline, gain = self._chosen.baseline, self._gain
        if gain is not None and gain.verdict in ("hurts", "fell short") and baseline is not None:
            amount = self._headline.shift_words(gain.estimate)
            settings = ", ".join(self._settings(baseline.trial))
            why = f"distillation costs {amount}"
            if gain.verdict == "fell short":
                why = f"the distilled settings that were found differ from it by {amount}"
            return f"train it on hard labels ({settings}): {why}"
        settings = ", ".join(self._settings(self._choice.trial))
        return f"{settings} ({self._region})" if self._region else settings

    def _settings(self, trial: TrialRecord) -> list[str]:
        """Every tuned setting, so that the student can be built again from the sentence."""
        settings = []
        if trial.is_taught:
            known = {"T": trial.temperature, "alpha": trial.alpha}
            settings += [f"{n} = {wording.scalar(v)}" for n, v in known.items() if v is not None]
            if trial.ensemble_size is not None:
                settings.append(wording.plural(trial.ensemble_size, "teacher"))
        elif trial.arm == "distilled":
            settings.append("hard labels only (alpha = 1)")
        settings.append(f"learning rate {wording.scalar(trial.learning_rate)}")
        tuned = [n for n in self._config.parameters("nuisance") if n in trial.settings]
        rest = {n: trial.settings[n] for n in tuned if n not in _NAMED}
        return settings + [f"{wording.words(n)} {wording.scalar(v)}" for n, v in rest.items()]

    def _larger_clause(self) -> str:
        """What larger students would add, and how sure that is."""
        confirmed, size = self._strata.confirmed, self._chosen.num_params or 0
        larger = [s for s in confirmed if (s.num_params or 0) > size]
        if not larger or not varying_size(confirmed):
            return ""
        gained = self._gained(max(larger, key=validation))
        if gained is None:
            return (
                "how much larger students gain is not certain: one replicate has no standard error"
            )
        headline, (median, low, high) = self._headline, gained
        ends = f"{headline.gained(low)} to {headline.gained(high)}"
        level = wording.level(self._strata.confidence)
        amount = f"{headline.gained(median)}{headline.points}"
        return f"larger students {headline.gain_words} {amount} ({ends}, {level})"

    def _gained(self, best: Stratum) -> tuple[float, float, float] | None:
        """What the best of the larger students gains over the chosen one, with its interval.

        By the curve through all sizes, or without one by the two students; students of different
        sizes share no initial weights, so they are not paired.
        """
        size = float(self._chosen.num_params or 0)
        if self._fit is not None and size in self._fit.sizes:
            return self._fit.gains[self._fit.sizes.index(size)]
        if best.distilled is None:
            return None
        found = difference(
            best.distilled, self._choice,
            metric=self._headline.metric, confidence=self._strata.confidence,
        )  # fmt: skip
        if found is None or found.low is None or found.high is None:
            return None
        return found.mean, found.low, found.high


_NAMED = ("temperature", "alpha", "ensemble_size", "learning_rate")
"""The parameters that the sentence gives in its own words."""


def _keeps_up(stratum: Stratum, full: EnsembleScore, headline: Headline) -> bool:
    """Whether a student comes near; for lack of a scale any does by another than a fraction."""
    assert stratum.distilled is not None
    if not full.test or not headline.is_accuracy_like:
        return True
    mean = _test(stratum.distilled)
    return mean >= full.test - NEAR_TEACHER and mean >= SHARE_KEPT * full.test


def _test(choice: Choice) -> float:
    assert choice.test_score is not None
    return choice.test_score.mean
