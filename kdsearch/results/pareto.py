"""The Pareto front of measured trials."""

from collections.abc import Sequence

from kdsearch.config import Objective
from kdsearch.results import TrialRecord
from kdsearch.results.objective import complete_value


def pareto_front(
    records: Sequence[TrialRecord], objectives: Sequence[Objective]
) -> list[TrialRecord]:
    """The complete trials that no other one dominates, best first objective first.

    Trials with equal values count once, as the earliest of them.
    """
    losses = {r.key: _losses(r, objectives) for r in records}
    front: dict[tuple[float, ...], TrialRecord] = {}
    for record in records:
        own = losses[record.key]
        if not any(_dominates(other, own) for other in losses.values()):
            front.setdefault(own, record)
    return [front[key] for key in sorted(front)]


def _losses(record: TrialRecord, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(
        -complete_value(record, o) if o.direction == "maximize" else complete_value(record, o)
        for o in objectives
    )


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
