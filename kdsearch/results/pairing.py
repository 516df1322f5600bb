"""Which replicates are pairs: those of one number, of students of one architecture.

A student's initial weights follow from its architecture and the number of its replicate, and its
batches from that number (`study.proposal.lane`), whatever it is taught. So their difference is
free of the luck that they share; students of two architectures share no initial weights.
"""

from collections.abc import Sequence

from kdsearch.config import SHORT_NAMES
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


def paired_accuracies(mine: Sequence[TrialRecord], its: Sequence[TrialRecord]) -> list[float]:
    """Differences in test accuracy of the pairs."""
    return [
        a.test.accuracy - b.test.accuracy
        for a, b in replicate_pairs(mine, its)
        if a.test is not None and b.test is not None
    ]


def replicate_accuracies(runs: Sequence[TrialRecord]) -> dict[int, float]:
    """Test accuracy of the tested replicates, by their numbers."""
    return {r.replicate: r.test.accuracy for r in runs if r.test is not None}


def _architecture(record: TrialRecord) -> tuple[int, dict[str, Scalar]]:
    chosen = {
        SHORT_NAMES.get(name, name): value
        for name, value in record.settings.items()
        if SHORT_NAMES.get(name, name).startswith("student.")
    }
    return record.width, chosen
