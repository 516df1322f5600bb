"""The search space as Optuna sees it, and points of it without a model."""

import math

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from kdsearch.config import Scalar, SearchParameter
from kdsearch.study.proposal.space import (
    LADDER_SIZES,
    distributions,
    from_unit,
    grid_points,
    sobol_point,
    to_unit,
)
from kdsearch.study.storage.distributions import Space, as_known
from kdsearch.testing.small_study import small_study

SEARCH = {
    "temperature": {"role": "nuisance", "low": 1, "high": 20, "log": True},
    "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.3},
    "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
    "width": {"role": "nuisance", "low": 4, "high": 64, "log": True},
    "training.epochs": {"role": "nuisance", "low": 2, "high": 9, "step": 3},
    "training.batch_size": {"role": "nuisance", "low": 16, "high": 64},
    "training.optimizer": {"role": "nuisance", "values": ["adam", "sgd"]},
}


def test_the_field_decides_the_type_and_the_step_the_end() -> None:
    config = small_study(search=SEARCH)
    space = distributions(config, config.parameters("nuisance"))
    assert space == {
        "temperature": FloatDistribution(1.0, 20.0, log=True),
        "alpha": FloatDistribution(0.0, 0.9, step=0.3),
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "width": IntDistribution(4, 64, log=True),
        "training.epochs": IntDistribution(2, 8, step=3),
        "training.batch_size": IntDistribution(16, 64),
        "training.optimizer": CategoricalDistribution(("adam", "sgd")),
    }


def test_units_reach_both_ends_of_every_kind_of_range() -> None:
    top = math.nextafter(1.0, 0.0)
    assert from_unit(FloatDistribution(1.0, 3.0), 0.5) == 2.0
    assert from_unit(FloatDistribution(1.0, 100.0, log=True), 0.5) == pytest.approx(10.0)
    assert from_unit(FloatDistribution(0.0, 0.9, step=0.3), top) == pytest.approx(0.9)
    assert [from_unit(IntDistribution(2, 8, step=3), u) for u in (0, 0.34, top)] == [2, 5, 8]
    assert [from_unit(IntDistribution(1, 8, log=True), u) for u in (0, top)] == [1, 8]
    assert [from_unit(CategoricalDistribution((1, "a")), u) for u in (0.49, 0.5)] == [1, "a"]


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (FloatDistribution(1.0, 3.0), [1.0, 1.7, 3.0]),
        (FloatDistribution(1.0, 100.0, log=True), [1.0, 10.0, 100.0]),
        # In floats (0.7 - 0.1) / 0.1 is 5.99..., and 0.1 + 6 * 0.1 is above 0.7.
        (FloatDistribution(0.1, 0.7, step=0.1), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
        (IntDistribution(2, 8, step=3), [2, 5, 8]),
        (IntDistribution(16, 64), [16, 17, 63, 64]),
        (IntDistribution(1, 64, log=True), [1, 2, 3, 32, 63, 64]),
        (CategoricalDistribution((1, "a", True)), [1, "a"]),
    ],
)
def test_a_value_goes_to_its_unit_and_back(
    distribution: BaseDistribution, values: list[Scalar]
) -> None:
    for value in values:
        unit = to_unit(distribution, value)
        assert 0.0 <= unit <= 1.0
        back = from_unit(distribution, min(unit, math.nextafter(1.0, 0.0)))
        assert back == (pytest.approx(value) if isinstance(value, float) else value)
        assert distribution._contains(distribution.to_internal_repr(back))
    units = [to_unit(distribution, value) for value in values]
    assert isinstance(distribution, CategoricalDistribution) or units == sorted(units)


def test_sobol_points_are_in_range_distinct_repeatable_and_stratified() -> None:
    config = small_study(search=SEARCH)
    space = distributions(config, config.parameters("nuisance"))
    points = [sobol_point(space, index, 7) for index in range(16)]
    assert points == [sobol_point(space, index, 7) for index in range(16)]
    assert points != [sobol_point(space, index, 8) for index in range(16)]
    assert len({tuple(point.items()) for point in points}) == 16
    for name, distribution in space.items():
        values = [point[name] for point in points]
        if name == "alpha":  # 0.3 is no binary fraction, so its multiples are near ones
            assert {round(float(value), 9) for value in values} == {0.0, 0.3, 0.6, 0.9}
        else:
            assert all(distribution._contains(distribution.to_internal_repr(v)) for v in values)
    # Any 2^k points of the sequence put as many into each half of every axis.
    assert sum(float(point["temperature"]) < math.sqrt(20) for point in points) == 8
    assert sum(point["training.optimizer"] == "adam" for point in points) == 8


def test_a_grid_is_complete_without_repeats_and_shuffled_by_its_seed() -> None:
    space = {
        "width": SearchParameter(role="nuisance", values=(4, 8)),
        "alpha": SearchParameter(role="nuisance", low=0.0, high=1.0, step=0.25),
    }
    points = grid_points(space, 0)
    assert points == grid_points(space, 0)
    assert points != grid_points(space, 1)
    expected = {(width, alpha) for width in (4, 8) for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert len(points) == 10
    assert {(point["width"], point["alpha"]) for point in points} == expected


def test_an_old_ladder_keeps_its_list_of_sizes_and_does_without_others() -> None:
    listed = CategoricalDistribution((4, 8))
    rate = FloatDistribution(0.1, 1.0)
    space: Space = {"width": LADDER_SIZES, "learning_rate": rate}
    known: Space = {"width": listed, "learning_rate": FloatDistribution(0.1, 1.0)}
    settings: dict[str, Scalar] = {"width": 8, "learning_rate": 0.5}
    assert as_known(space, {}, settings) == space
    assert as_known(space, known, settings) == {"width": listed, "learning_rate": rate}
    assert as_known(space, known, settings | {"width": 6}) == {"learning_rate": rate}
    assert as_known(space, {"width": LADDER_SIZES}, settings) == space
