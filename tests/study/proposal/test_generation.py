"""What a lane asks, generation after generation, worked by hand."""

from typing import Any

import pytest

from kdsearch.config import StudyConfig
from kdsearch.study.proposal.generation import Generation, next_generation
from kdsearch.study.proposal.lane import lanes_of
from kdsearch.testing.small_study import small_study

D4, _, B4, _ = range(4)
PARETO = [
    {"metric": "val_accuracy", "direction": "maximize"},
    {"metric": "num_params", "direction": "minimize"},
]


def config_of(trials: int, *, generation: int = 16, **changes: Any) -> Any:
    budget = {"trials": trials, "generation": generation}
    return small_study(**({"sampler": {"kind": "surface"}, "budget": budget} | changes))


def course(config: StudyConfig, *, lane: int = D4, asked: int = 0) -> list[Generation]:
    """All generations of a lane, one after the other."""
    lanes = lanes_of(config, config.strata())
    found: list[Generation] = []
    while plan := next_generation(config, lanes[lane], lanes, asked=asked):
        found.append(plan)
        asked += plan.size
    return found


def sizes(config: StudyConfig, **where: int) -> list[int]:
    return [plan.size for plan in course(config, **where)]


def test_a_surface_is_looked_at_after_every_quarter() -> None:
    assert sizes(config_of(24)) == [6, 6, 6, 6]
    assert sizes(config_of(24), lane=B4) == [6, 6, 6, 6], "both arms have the same budget"
    assert sizes(config_of(10)) == [3, 3, 3, 1]
    assert sizes(config_of(3)) == [1, 1, 1]
    assert sizes(config_of(100)) == [16] * 6 + [4], "no more than the study file says"
    alone = config_of(8, search__width={"role": "fixed", "value": 4})
    assert sizes(alone) == [2, 2, 2, 2], "one stratum learns from itself"


def test_a_generation_says_how_much_came_before() -> None:
    plans = course(config_of(24))
    assert plans == [Generation(6, spent=k / 4) for k in range(4)]


def test_other_samplers_ask_half_where_they_copy_and_else_as_the_file_says() -> None:
    assert sizes(config_of(24, sampler={"kind": "tpe"})) == [12, 12]
    assert sizes(config_of(24, sampler={"kind": "tpe", "warm_start": False})) == [16, 8]
    assert sizes(config_of(24, sampler={"kind": "qmc"})) == [16, 8]
    assert sizes(config_of(24, sampler={"kind": "nsga2"}, objective=PARETO)) == [16, 8]


@pytest.mark.parametrize("trials", [12, 13, 24, 40, 97])
@pytest.mark.parametrize("kind", ["surface", "tpe", "random", "qmc"])
def test_the_budget_is_spent_exactly(trials: int, kind: str) -> None:
    plans = course(config_of(trials, sampler={"kind": kind}))
    assert sum(plan.size for plan in plans) == trials
    assert all(plan.size > 0 for plan in plans)


def test_a_raised_budget_asks_the_difference() -> None:
    assert course(config_of(28), asked=24) == [Generation(4, spent=24 / 28)]
    assert course(config_of(24), asked=24) == []
