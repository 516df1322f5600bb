"""Which settings of a stratum and arm count: those that were chosen last."""

from collections.abc import Sequence
from typing import NamedTuple

from kdsearch.results.record import TrialRecord


class Confirmed(NamedTuple):
    """The settings that the confirm stage took last."""

    trial: int
    """Number of their search trial."""
    is_current: bool
    """Whether no trial has been searched since."""


def confirmed_choice(records: Sequence[TrialRecord]) -> Confirmed | None:
    """What was chosen among the records of one stratum and arm; None before the confirm stage.

    A choice stands until the stratum's search goes on: what larger students teach about smaller
    ones comes too late for it.
    """
    runs = [r for r in records if r.stage == "confirm" and r.searched is not None]
    if not runs:
        return None
    last = max(runs, key=lambda r: (r.searched or 0, r.trial))
    searched = sum(r.stage == "search" for r in records)
    return Confirmed(last.trial, is_current=last.searched == searched)
