"""What a lane asks, generation after generation, worked by hand."""

from typing import Any

import pytest

from kdsearch.config import StudyConfig
from kdsearch.study.generation import Generation, next_generation, race_size
from kdsearch.study.lane import lanes_of
from tests.study.records import make_config

D4, _, B4, _ = range(4)
GRID = {
    "temperature": {"role": "nuisance", "values": [1.0, 2.0, 4.0, 8.0]},
    "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.25},
}
PARETO = [
    {"metric": "val_accuracy", "direction": "maximize"},
    {"metric": "num_params", "direction": "minimize"},
]


def config_of(trials: int, *, race: float = 0.0, generation: int = 16, **changes: Any) -> Any:
    budget = {"trials": trials, "race": race, "generation": generation}
    return make_config(**({"sampler": {"kind": "surface"}, "budget": budget} | changes))


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


def test_an_exploration_says_how_much_of_it_came_before() -> None:
    plans = course(config_of(24))
    assert plans == [Generation("explore", 6, spent=k / 4) for k in range(4)]


def test_other_samplers_ask_half_where_they_copy_and_else_as_the_file_says() -> None:
    assert sizes(config_of(24, sampler={"kind": "tpe"})) == [12, 12]
    assert sizes(config_of(24, sampler={"kind": "tpe", "warm_start": False})) == [16, 8]
    assert sizes(config_of(24, sampler={"kind": "qmc"})) == [16, 8]
    assert sizes(config_of(24, sampler={"kind": "nsga2"}, objective=PARETO)) == [16, 8]


def test_a_race_halves_its_settings_once() -> None:
    # 7 of 24 race: 17 are explored, 4 settings run once more, and 2 of them 3 times.
    assert course(config_of(24, race=0.3)) == [
        Generation("explore", 5, spent=0 / 17),
        Generation("explore", 5, spent=5 / 17),
        Generation("explore", 5, spent=10 / 17),
        Generation("explore", 2, spent=15 / 17),
        Generation("race", 4, settings=4),
        Generation("race", 3, settings=2),
    ]
    *_, first, second = course(config_of(40, race=0.5))
    assert (first, second) == (
        Generation("race", 10, settings=8), Generation("race", 10, settings=4)
    )  # fmt: skip
    *_, last = course(config_of(12, race=0.1))
    assert last == Generation("race", 1, settings=1)


@pytest.mark.parametrize("trials", [12, 13, 24, 40, 97])
@pytest.mark.parametrize("race", [0.0, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["surface", "tpe", "random", "qmc"])
def test_the_budget_is_spent_exactly(trials: int, race: float, kind: str) -> None:
    plans = course(config_of(trials, race=race, sampler={"kind": kind}))
    assert sum(plan.size for plan in plans) == trials
    assert all(plan.size > 0 for plan in plans)
    raced = [plan for plan in plans if plan.kind == "race"]
    assert sum(plan.size for plan in raced) == int(race * trials)
    assert plans[len(plans) - len(raced) :] == raced, "a race comes last"
    assert all(1 <= plan.settings <= min(8, plan.size) for plan in raced)


def test_nothing_is_raced_where_seeds_would_cost_more_than_they_tell() -> None:
    def raced(config: StudyConfig) -> int:
        return race_size(config, lanes_of(config, config.strata())[D4])

    assert raced(config_of(12, race=0.5)) == 6
    assert raced(config_of(11, race=0.5)) == 0
    assert raced(config_of(12, race=0.5, sampler={"kind": "grid"}, search=GRID)) == 0
    pareto = config_of(12, race=0.5, sampler={"kind": "tpe"}, objective=PARETO)
    assert raced(pareto) == 0


def test_a_raised_budget_explores_again_before_it_races_again() -> None:
    raised = config_of(40, race=0.3)
    assert course(raised, asked=24) == [
        Generation("explore", 4, spent=24 / 28),
        Generation("race", 6, settings=6),
        Generation("race", 6, settings=3),
    ]
    assert course(raised, asked=40) == []


def test_a_lane_with_nothing_to_tune_asks_once() -> None:
    search = {"alpha": {"role": "scientific", "values": [0.0, 0.5]}}
    assert sizes(config_of(1, search=search)) == [1]
