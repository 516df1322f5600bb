"""Which replicates are pairs: those of one number, of students of one architecture.

A student's initial weights follow from its architecture and the number of its replicate, and its
batches from that number (`study.proposal.lane`), whatever it is taught. So their difference is
free of the luck that they share; students of two architectures share no initial weights.
"""

from collections.abc import Sequence

from kdsearch.config import Metric, changes_student
from kdsearch.results.headline import score
from kdsearch.results.record import Scalar, TrialRecord


def are_alike(a: TrialRecord, b: TrialRecord) -> bool:
    """Whether two students are of one architecture, so that their replicates are pairs."""
    return _architecture(a) == _architecture(b)


def replicate_pairs(
    mine: Sequence[TrialRecord], its: Sequence[TrialRecord]
) -> tuple[tuple[TrialRecord, TrialRecord], ...]:
    """Tested replicates that both have, by rising number; none of two architectures."""
    left, right = ({r.replicate: r for r in runs if r.test is not None} for runs in (mine, its))
    shared = sorted(left.keys() & right.keys())
    return tuple((left[n], right[n]) for n in shared if are_alike(left[n], right[n]))


def paired_differences(
    mine: Sequence[TrialRecord], its: Sequence[TrialRecord], metric: Metric
) -> list[float]:
    """Differences on test of the pairs in a metric, turned so that higher is better."""
    scores = (
        (score(a.test, metric), score(b.test, metric)) for a, b in replicate_pairs(mine, its)
    )
    return [a - b for a, b in scores if a is not None and b is not None]


def replicate_scores(runs: Sequence[TrialRecord], metric: Metric) -> dict[int, float]:
    """A metric of the tested replicates by their numbers, turned so that higher is better."""
    found = {r.replicate: score(r.test, metric) for r in runs}
    return {replicate: value for replicate, value in found.items() if value is not None}


def _architecture(record: TrialRecord) -> tuple[int, dict[str, Scalar]]:
    chosen = {name: v for name, v in record.settings.items() if changes_student(name)}
    return record.width, chosen
