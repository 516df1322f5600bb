"""How far the choice of settings is luck, as the candidates of every stratum show it."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats

from kdsearch.analysis.estimate import Estimate, welch_dof
from kdsearch.analysis.statistics.search_luck import SearchLuck, SearchSpread
from kdsearch.analysis.statistics.variance import shrunk_variances, size_positions
from kdsearch.analysis.stratum import Choice, StrataInfo
from kdsearch.results import TrialRecord

Key = tuple[str, int]
"""Arm and number of the search trial: strata may share a choice on hard labels."""


def luck_of(choices: Iterable[Choice | None], tolerance: float) -> SearchLuck:
    """What the candidates of one arm say of its search. They share seeds, so they are paired."""
    compared = [(c, d) for c in distinct(choices).values() for d in _differences(c) if len(d) > 1]
    pairs = [np.array(d) for _, d in compared]
    if not pairs:
        return SearchLuck.of(None, tolerance)
    counts = np.array([len(d) for d in pairs], dtype=float)
    own = np.array([d.var(ddof=1) for d in pairs])
    places = size_positions([c.trial.num_params for c, _ in compared])
    variances = shrunk_variances(places, own, counts - 1)
    means = np.array([d.mean() for d in pairs])
    spread = SearchSpread(means, np.sqrt(variances.values / counts))
    return SearchLuck.of(spread, tolerance)


def distinct(choices: Iterable[Choice | None]) -> dict[Key, Choice]:
    """Each choice once."""
    return {(c.trial.arm, c.trial.trial): c for c in choices if c is not None}


def _differences(choice: Choice) -> list[list[float]]:
    """Chosen minus rival, replicate by replicate, for each rival."""
    return [paired(choice.replicates, rival) for rival in choice.rivals]


def paired(mine: Sequence[TrialRecord], its: Sequence[TrialRecord]) -> list[float]:
    """Differences in test accuracy over the replicates that both have.

    Only of students of one architecture, whose replicates share their initial weights.
    """
    left = {t.replicate: t.test.accuracy for t in mine if t.test}
    right = {t.replicate: t.test.accuracy for t in its if t.test}
    return [left[r] - right[r] for r in sorted(left.keys() & right.keys())]


def with_intervals(
    choices: Iterable[Choice | None], luck: SearchLuck, confidence: float
) -> Mapping[Key, Estimate]:
    """Test accuracies of one arm with intervals that cover replicates and the luck of the search.

    Variances of replicates are shrunk towards those of the other strata.

    Args:
        choices: Of the arm, in the order of their strata.
        luck: Of the arm.
        confidence: Coverage, in (0, 1).
    """
    sizes = distinct(choices)
    known = {
        key: c.test_accuracy
        for key, c in sizes.items()
        if c.test_accuracy is not None and c.test_accuracy.se is not None
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
        found[key] = e._replace(low=max(e.mean - reach, 0.0), high=min(e.mean + reach, 1.0))
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
    amounts = sorted({f"{100 * a.sd:.2f}" for a in arms})
    pairs = sum(a.num_pairs for a in arms)
    return (
        "Another search would have chosen settings whose accuracy differs by an SD of about "
        f"{' and '.join(amounts)} points ({pairs} pairs of candidates tell); intervals cover that."
    )
