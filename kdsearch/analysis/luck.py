"""How far the choice of settings is luck, as the candidates of every stratum show it."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

from kdsearch.analysis.estimate import Estimate, welch_dof
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.statistics.search_luck import SearchLuck, SearchSpread
from kdsearch.analysis.statistics.variance import shrunk_variances, size_positions
from kdsearch.analysis.stratum import Choice, StrataInfo
from kdsearch.config import Metric
from kdsearch.results import TrialRecord
from kdsearch.results.pairing import are_alike, paired_differences, replicate_scores

Key = tuple[str, int]
"""Arm and number of the search trial: strata may share a choice on hard labels."""


def luck_of(choices: Iterable[Choice | None], tolerance: float, headline: Headline) -> SearchLuck:
    """What the candidates of one arm say of its search."""
    beside = [
        (choice.trial.num_params, found)
        for choice in distinct(choices).values()
        for rival in choice.rivals
        if (found := _difference(choice.replicates, rival, headline.metric)) is not None
    ]
    if not beside:
        return SearchLuck.of(None, tolerance)
    sizes = [size for size, _ in beside]
    means, own, counts, freedoms = np.array([found for _, found in beside], dtype=float).T
    variances = shrunk_variances(size_positions(sizes), own, freedoms)
    spread = SearchSpread(
        means, np.sqrt(variances.values / counts),
        np.array(sizes, dtype=float) if all(sizes) else None,
    )  # fmt: skip
    return SearchLuck.of(spread, tolerance)


def distinct(choices: Iterable[Choice | None]) -> dict[Key, Choice]:
    """Each choice once."""
    return {(c.trial.arm, c.trial.trial): c for c in choices if c is not None}


def _difference(
    mine: Sequence[TrialRecord], its: Sequence[TrialRecord], metric: Metric
) -> tuple[float, float, int, float] | None:
    """Mean difference, the variance that each of n replicates adds to it, n, degrees of freedom.

    None without two replicates of each.
    """
    pairs = np.array(paired_differences(mine, its, metric))
    if len(pairs) > 1:
        return float(pairs.mean()), float(pairs.var(ddof=1)), len(pairs), len(pairs) - 1.0
    a, b = (np.array(list(replicate_scores(runs, metric).values())) for runs in (mine, its))
    if min(len(a), len(b)) < 2 or are_alike(mine[0], its[0]):
        return None
    parts, n = [float(x.var(ddof=1)) / len(x) for x in (a, b)], min(len(a), len(b))
    dof = welch_dof(parts, [len(a) - 1, len(b) - 1])
    return float(a.mean() - b.mean()), n * sum(parts), n, dof


def with_intervals(
    choices: Iterable[Choice | None], luck: SearchLuck, headline: Headline, confidence: float
) -> Mapping[Key, Estimate]:
    """Test scores of one arm with intervals that cover replicates and the luck of the search.

    Variances of replicates are shrunk towards those of the other strata.

    Args:
        choices: Of the arm, in the order of their strata.
        luck: Of the arm.
        headline: What the scores are of.
        confidence: Coverage, in (0, 1).
    """
    sizes = distinct(choices)
    known = {
        key: c.test_score
        for key, c in sizes.items()
        if c.test_score is not None and c.test_score.se is not None
    }
    if not known:
        return {}
    counts = np.array([e.n for e in known.values()], dtype=float)
    own = np.array([e.n * (e.se or 0.0) ** 2 for e in known.values()])
    places = size_positions([sizes[key].trial.num_params for key in known])
    shrunk = shrunk_variances(places, own, counts - 1)
    found = {}
    for (key, e), variance in zip(known.items(), shrunk.values / counts, strict=True):
        error, dof = total_error([float(variance)], [shrunk.dof], [luck])
        reach = float(stats.t.ppf(0.5 + confidence / 2, dof)) * error
        wide = headline.clipped(e._replace(low=e.mean - reach, high=e.mean + reach))
        assert wide is not None
        found[key] = wide
    return found


def total_error(
    variances: Sequence[float], freedoms: Sequence[float], lucks: Sequence[SearchLuck]
) -> tuple[float, float]:
    """Standard error of a sum of means, luck included, and its degrees of freedom.

    Args:
        variances: Of the means, from replicates alone.
        freedoms: Their degrees of freedom.
        lucks: Of the searches that the means stand on.
    """
    known = [a for a in lucks if a.sd > 0]
    all_variances = [*variances, *(a.sd**2 for a in known)]
    dof = welch_dof(all_variances, [*freedoms, *(float(a.num_pairs) for a in known)])
    return math.sqrt(sum(all_variances)), dof


def luck_words(info: StrataInfo) -> str:
    """What intervals cover beside replicates; empty where nothing is known."""
    arms = [a for a in (info.distilled_luck, info.baseline_luck) if a.spread is not None]
    if not arms:
        return ""
    unit, words = info.headline.unit, info.headline.words
    amounts = sorted({unit.fixed(a.sd, 2) for a in arms})
    pairs = sum(a.num_pairs for a in arms)
    return (
        f"Another search would have chosen settings whose {words} differs by an SD of about "
        f"{' and '.join(amounts)}{unit.of_differences} ({pairs} pairs of candidates tell); "
        "intervals cover that."
    )
