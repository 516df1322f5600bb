"""Which students train together: a function of the students alone, never of who is faster."""

import math
from collections.abc import Callable, Sequence

from kdsearch.execution import StudentSpec
from kdsearch.execution.engine import stack_key

MOST_STUDENTS = 16
"""More students in one step gain nothing and leave the cache (measured)."""
ENOUGH_UNITS = 1024
"""Hidden units that keep a core busy in one step, so that splitting loses nothing (measured)."""


def form_cohorts(
    specs: Sequence[StudentSpec], cost: Callable[[StudentSpec], float]
) -> list[tuple[StudentSpec, ...]]:
    """Cohorts of students that can share steps, the most expensive first.

    A cohort has up to 16 students, and fewer where they are so expensive that it would be more
    than half of all work, or a quarter if it still keeps a core busy: two cores want two cohorts
    of about equal cost.

    Args:
        specs: Students to train, in the order of their study.
        cost: What a student's leg costs, in any unit.
    """
    total = sum(cost(spec) for spec in specs)
    cohorts: list[tuple[StudentSpec, ...]] = []
    for group in _alike(specs):
        most = math.ceil(len(group) / math.ceil(len(group) / MOST_STUDENTS))
        chunk: list[StudentSpec] = []
        for spec in group:
            chunk.append(spec)
            spent = sum(cost(one) for one in chunk)
            units = sum(one.trial.student.width for one in chunk)
            is_enough = spent >= total / 2 or (spent >= total / 4 and units >= ENOUGH_UNITS)
            if len(chunk) == most or is_enough:
                cohorts.append(tuple(chunk))
                chunk = []
        if chunk:
            cohorts.append(tuple(chunk))
    return sorted(cohorts, key=lambda cohort: -sum(cost(spec) for spec in cohort))


def _alike(specs: Sequence[StudentSpec]) -> list[list[StudentSpec]]:
    """Students by what a population must have in common; each by batches, then by width."""
    groups: dict[object, list[StudentSpec]] = {}
    orders = {seed: place for place, seed in enumerate(dict.fromkeys(r.order_seed for r in specs))}
    for spec in sorted(specs, key=lambda r: (orders[r.order_seed], r.trial.student.width)):
        groups.setdefault(stack_key(spec), []).append(spec)
    return list(groups.values())
