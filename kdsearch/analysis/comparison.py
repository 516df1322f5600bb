"""Chosen settings beside each other: by replicate where those are pairs, else as samples.

Which replicates are pairs is said in `results.pairing`.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from scipy import stats

from kdsearch.analysis.estimate import Estimate, estimate_difference, estimate_mean
from kdsearch.analysis.luck import total_error
from kdsearch.analysis.statistics.joint import holm
from kdsearch.analysis.statistics.moderated import Moderated, moderated
from kdsearch.analysis.statistics.search_luck import SearchLuck
from kdsearch.analysis.stratum import Choice
from kdsearch.config import Metric
from kdsearch.results.pairing import are_alike, paired_differences, replicate_scores

Verdict = Literal["helps", "hurts", "fell short", "no difference", "unclear", "not measured"]
"""`fell short`: the interval lies below zero, but hard labels were among the settings to choose
from (alpha 1), so it is the search that did not choose them and not distillation that hurts."""


class Comparison(NamedTuple):
    """Test score of one choice less that of another: above 0 is better, whatever the metric."""

    parts: tuple[Moderated, ...]
    """One, of the differences of pairs; or two samples, the second with its sign turned."""

    @property
    def mean(self) -> float:
        """The difference."""
        return sum(part.mean for part in self.parts)

    @property
    def n(self) -> int:
        """Replicates; of the smaller sample."""
        return min(part.n for part in self.parts)

    def estimate(self, lucks: Sequence[SearchLuck], confidence: float) -> tuple[Estimate, float]:
        """With the luck of both searches in its error, and the degrees of freedom of that.

        Raises:
            ValueError: No choice of the comparison has two replicates.
        """
        freedoms = [part.dof for part in self.parts]
        if not min(freedoms) > 0:
            raise ValueError("without replicates a difference has no error")
        error, dof = total_error([part.error**2 for part in self.parts], freedoms, lucks)
        reach = float(stats.t.ppf(0.5 + confidence / 2, dof)) * error
        return Estimate(self.mean, self.n, error, self.mean - reach, self.mean + reach), dof


def compare(
    choices: Sequence[tuple[Choice, Choice] | None],
    sizes: Sequence[float | None],
    metric: Metric,
) -> list[Comparison | None]:
    """Differences whose errors are shrunk towards each other, in order.

    Args:
        choices: What is compared with what; None where there is nothing to compare.
        sizes: Of the students, along which errors may follow a trend; None where there is none.
        metric: What is compared.
    """
    alike = [pair is not None and are_alike(pair[0].trial, pair[1].trial) for pair in choices]
    known = list(zip(choices, alike, strict=True))
    pairs = [
        paired_differences(pair[0].replicates, pair[1].replicates, metric) if pair and same else []
        for pair, same in known
    ]
    others = [_samples(pair, metric) if pair and not same else ([], []) for pair, same in known]
    parts = zip(
        moderated(pairs, sizes),
        moderated([mine for mine, _ in others], sizes),
        moderated([[-x for x in its] for _, its in others], sizes),
        strict=True,
    )
    made = (tuple(part for part in own if part is not None) for own in parts)
    return [Comparison(own) if own else None for own in made]


def _samples(pair: tuple[Choice, Choice], metric: Metric) -> tuple[list[float], list[float]]:
    """Test scores of both; of neither where one of them has none."""
    mine, its = (list(replicate_scores(c.replicates, metric).values()) for c in pair)
    return (mine, its) if mine and its else ([], [])


def difference(mine: Choice, its: Choice, *, metric: Metric, confidence: float) -> Estimate | None:
    """One difference in test score by its own replicates: t interval, or Welch's of samples.

    None without a pair, or without a tested replicate of either.
    """
    if are_alike(mine.trial, its.trial):
        pairs = paired_differences(mine.replicates, its.replicates, metric)
        return estimate_mean(pairs, confidence=confidence)
    return estimate_difference(*_samples((mine, its), metric), confidence=confidence)


def effect_verdict(estimate: Estimate | None, tolerance: float) -> Verdict:
    """What one interval of a difference says; within `tolerance` there is no difference."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return "not measured"
    if estimate.low > 0:
        return "helps"
    if estimate.high < 0:
        return "hurts"
    if estimate.low > -tolerance and estimate.high < tolerance:
        return "no difference"
    return "unclear"


def joint_verdicts(
    estimates: Sequence[tuple[Estimate | None, float]],
    *,
    tolerance: float,
    confidence: float,
    includes_hard_labels: bool,
) -> list[Verdict]:
    """What the intervals say of distilled less hard labels, at a level that holds for all.

    Args:
        estimates: Each difference, and the degrees of freedom of its error.
        tolerance: Within it there is no difference.
        confidence: Of all verdicts together.
        includes_hard_labels: Whether the distilled arm could choose them.
    """
    differs, equals = [], []
    for estimate, dof in estimates:
        if estimate is None or estimate.se is None:
            differs.append(math.nan)
            equals.append(math.nan)
            continue
        away = abs(estimate.mean) / estimate.se
        room = (tolerance - abs(estimate.mean)) / estimate.se
        differs.append(2 * float(stats.t.sf(away, dof)))
        equals.append(float(stats.t.sf(room, dof)))
    different, equal = holm(differs, 1 - confidence), holm(equals, (1 - confidence) / 2)
    worse: Verdict = "fell short" if includes_hard_labels else "hurts"
    found: list[Verdict] = []
    for (estimate, _), differs_here, equals_here in zip(estimates, different, equal, strict=True):
        if estimate is None or estimate.se is None:
            found.append("not measured")
        elif differs_here:
            found.append("helps" if estimate.mean > 0 else worse)
        else:
            found.append("no difference" if equals_here else "unclear")
    return found
