from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from kdsearch.data.stratify import Rows, choose_rows, stratified_order
from kdsearch.errors import DataError

LABELS = np.repeat([0, 1, 2], [60, 30, 10])


def choose(labels: np.ndarray, **changes: Any) -> Rows:
    settings: dict[str, Any] = {
        "name": "mine",
        "test_fraction": 0.2,
        "val_fraction": 0.25,
        "train_fraction": 1.0,
        "seed": 0,
    }
    return choose_rows(labels, **(settings | changes))


def test_every_beginning_of_the_order_is_stratified() -> None:
    order = stratified_order(LABELS, np.random.default_rng(0))
    assert sorted(order) == list(range(100))
    for k in range(1, 101):
        counts = np.bincount(LABELS[order[:k]], minlength=3)
        assert np.abs(counts - k * np.array([0.6, 0.3, 0.1])).max() <= 1.0, k


def test_counts_are_exact_where_they_come_out_even() -> None:
    rows = choose(LABELS)
    assert np.bincount(LABELS[rows.test]).tolist() == [12, 6, 2]
    assert np.bincount(LABELS[rows.val]).tolist() == [12, 6, 2]
    assert np.bincount(LABELS[rows.train]).tolist() == [36, 18, 6]


@pytest.mark.parametrize("count", [97, 98, 99, 101, 102, 103])
def test_the_validation_count_is_the_rounded_share(count: int) -> None:
    labels = np.arange(count) % 4
    rows = choose(labels, test_fraction=None, val_fraction=0.3)
    assert rows.test is None
    assert len(rows.val) == round(count * 0.3)
    assert len(rows.train) == count - len(rows.val)


def test_no_class_is_favoured_when_all_tie() -> None:
    # 10 balanced classes, 5 places: over many seeds each class gets about half of them.
    labels = np.repeat(np.arange(10), 20)
    orders = (stratified_order(labels, np.random.default_rng(seed)) for seed in range(400))
    picked = sum(np.bincount(labels[order[:5]], minlength=10) for order in orders)
    assert np.abs(picked - 200).max() < 50  # 5 standard deviations of a fair coin


def test_rows_ascend_and_do_not_overlap() -> None:
    rows = choose(LABELS, train_fraction=0.5)
    assert rows.test is not None
    for part in (rows.train, rows.val, rows.test):
        assert np.all(np.diff(part) > 0)
    assert not set(rows.train) & set(rows.val)
    assert not set(rows.test) & (set(rows.train) | set(rows.val))


def test_a_choice_does_not_depend_on_the_later_ones() -> None:
    first = choose(LABELS)
    assert first.test is not None
    other_val = choose(LABELS, val_fraction=0.4)
    assert other_val.test is not None
    assert np.array_equal(first.test, other_val.test)
    thinned = choose(LABELS, train_fraction=0.3)
    assert thinned.test is not None
    assert np.array_equal(first.test, thinned.test)
    assert np.array_equal(first.val, thinned.val)


def test_smaller_training_sets_are_nested() -> None:
    fractions = [0.15, 0.3, 0.45, 0.6, 0.75, 1.0]
    sets = [set(choose(LABELS, train_fraction=fraction).train) for fraction in fractions]
    assert all(small < large for small, large in pairwise(sets))


@pytest.mark.parametrize(
    ("labels", "changes", "split"),
    [
        ([0] * 50 + [1], {}, "test"),
        ([0] * 50 + [1] * 2, {"test_fraction": None, "val_fraction": 0.2}, "val"),
        ([0] * 50 + [1] * 2, {"test_fraction": None, "val_fraction": 0.9}, "train"),
        ([0, 1] * 20, {"train_fraction": 0.01}, "train"),
        ([0, 1] * 20, {"val_fraction": 0.01}, "val"),
    ],
)
def test_too_few_samples_of_a_class(
    labels: list[int], changes: dict[str, object], split: str
) -> None:
    with pytest.raises(DataError, match=rf"^mine: class \d has \d+ .*the {split} split.*data\."):
        choose(np.array(labels), **changes)


def test_a_seed_gives_the_rows_that_it_always_gave() -> None:
    """Other rows would be another data set, and every study's numbers would be others."""
    rows = choose_rows(
        np.arange(24) % 3, name="made", test_fraction=0.25, val_fraction=1 / 3, train_fraction=0.5,
        seed=7,
    )  # fmt: skip
    assert rows.test is not None
    assert rows.test.tolist() == [4, 10, 14, 15, 17, 18]
    assert rows.val.tolist() == [1, 6, 8, 9, 20, 22]
    assert rows.train.tolist() == [0, 2, 7, 16, 21, 23]
