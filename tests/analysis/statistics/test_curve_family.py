"""The families of curves: scaled alike, rising, and what their names say."""

import itertools

import numpy as np
import pytest

from kdsearch.analysis.statistics.curve_family import families

NAMES = [family.name for family in families(7.0)]
SPAN = 7.0
OCTAVES = np.linspace(0.0, SPAN, 29)


def family_of(name, span=SPAN):
    return next(f for f in families(span) if f.name == name)


def shapes_of(family):
    """Corners, edges and middle of the box."""
    axes = [np.linspace(low, high, 5) for low, high in family.box]
    return np.array(list(itertools.product(*axes)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("span", [2.0, 7.0, 12.0])
def test_every_curve_rises_from_zero_at_the_smallest_to_one_at_the_largest(name, span):
    family = family_of(name, span)
    curves = family.curves(shapes_of(family), np.linspace(0.0, span + 3, 40), span)
    curves = curves[np.isfinite(curves).all(axis=1)]
    assert len(curves) > 0.7 * 5 ** len(family.box)
    assert np.all(np.diff(curves, axis=1) >= -1e-9)
    ends = family.curves(shapes_of(family), np.array([0.0, span]), span)
    ends = ends[np.isfinite(ends).all(axis=1)]
    assert ends == pytest.approx(np.tile([0.0, 1.0], (len(ends), 1)), abs=1e-12)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def power(a, octaves):
    return 1 - (2.0**octaves) ** -a


BY_HAND = {
    "power law": ([np.log(0.7)], lambda o: power(0.7, o)),
    "logistic": ([2.5, np.log(0.8)], lambda o: sigmoid((o - 2.5) / 0.8)),
    "stretched exponential": (
        [3.0, np.log(0.6)], lambda o: 1 - np.exp(-((2.0**o / 2.0**3.0) ** 0.6)),
    ),
    "broken power law": (
        [np.log(0.9), 3.0, np.log(0.2)],
        lambda o: 1 - np.where(o < 3, 2.0 ** (-0.9 * o), 2.0 ** (-2.7 - 0.2 * (o - 3))),
    ),
    "knee": ([4.0, 0.1], lambda o: np.where(o < 4, o, 4 + 0.1 * (o - 4))),
    "second rise": (
        [np.log(1.5), 5.0, 0.3],
        lambda o: 0.7 * power(1.5, o) + 0.3 * sigmoid((o - 5.0) / 0.5),
    ),
    "power of log N": ([-1.5, np.log(0.5)], lambda o: -((2 * o + 1) ** -1.5)),
    "late rise": ([5.0, 0.1], lambda o: np.where(o < 5, 0.1 * o, 0.5 + (o - 5))),
    "two steps": (
        [1.0, 4.0, 0.3, np.log(0.4)],
        lambda o: 0.7 * sigmoid((o - 1.0) / 0.4) + 0.3 * sigmoid((o - 4.0) / 0.4),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_closed_forms(name):
    shape, height = BY_HAND[name]
    at = np.array([1.0, 3.5, 6.0, 9.0])
    low, high = height(np.array([0.0, SPAN]))
    curve = family_of(name).curves(np.array([shape]), at, SPAN)[0]
    assert curve == pytest.approx((height(at) - low) / (high - low), rel=1e-9)


def test_known_values():
    # 1 - 1 / N of N = 2, over N = 4: (1 / 2) / (3 / 4)
    law = family_of("power law", 2.0).curves(np.array([[0.0]]), np.array([1.0]), 2.0)
    assert law.item() == pytest.approx(2 / 3)
    # Half way where the middle is half of the range, whatever the width.
    widths = np.array([[3.5, np.log(0.3)], [3.5, np.log(4.0)]])
    halves = family_of("logistic").curves(widths, np.array([3.5]), SPAN)
    assert halves[:, 0] == pytest.approx([0.5, 0.5])


def test_a_curve_that_is_flat_over_the_range_is_none():
    over = np.array([[-2.0, np.log(2.0)], [2.0, 0.0]])
    curves = family_of("stretched exponential").curves(over, OCTAVES + 4, SPAN)
    assert np.isfinite(curves[1]).all()
    flat = family_of("stretched exponential").curves(
        np.array([[-40.0, np.log(2.0)], [2.0, 0.0]]), OCTAVES, SPAN
    )
    assert np.isnan(flat[0]).all()
    assert np.isfinite(flat[1]).all()


def test_boxes_hold_what_they_are_divided_into():
    for family in families(5.0):
        assert len(family.box) == len(family.cells)
        assert all(low < high for low, high in family.box)
    assert len(NAMES) == len(set(NAMES)) == 9
