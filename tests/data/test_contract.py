"""What every data set must do, whatever its kind."""

import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from kdsearch.data import Dataset, Split


class Expected(NamedTuple):
    shape: tuple[int, ...]
    num_classes: int
    sizes: tuple[int, int, int]  # train, val, test at the default fractions
    own_test: bool


SMALL = (48, 12, 12)  # 60 samples, a fifth of them validation, and 12 test samples
EXPECTED = {
    "digits": Expected((1, 8, 8), 10, (1150, 288, 359), own_test=False),
    "mnist1d": Expected((1, 40), 10, (240, 60, 100), own_test=True),
    "idx": Expected((1, 5, 4), 3, SMALL, own_test=True),
    "idx-gzipped": Expected((1, 5, 4), 3, SMALL, own_test=True),
    "mnist": Expected((1, 5, 4), 3, SMALL, own_test=True),
    "fashion_mnist": Expected((1, 5, 4), 3, SMALL, own_test=True),
    "npz": Expected((5, 4), 3, (38, 10, 12), own_test=False),
    "npz-with-test": Expected((5, 4), 3, SMALL, own_test=True),
    "import": Expected((5, 4), 3, (38, 10, 12), own_test=False),
    "import-with-test": Expected((5, 4), 3, SMALL, own_test=True),
}

LoadSource = Callable[..., Dataset]


@pytest.fixture(params=EXPECTED)
def source(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def load_source(source, sources, load) -> LoadSource:
    section = sources.section(source)
    return lambda **changes: load(**(section | changes))


def id_set(split: Split) -> set[int]:
    return set(split.ids.tolist())


def test_shapes_dtypes_and_sizes(source: str, load_source: LoadSource) -> None:
    expected, data = EXPECTED[source], load_source()
    assert data.input_shape == expected.shape
    assert data.num_classes == expected.num_classes
    test = data.test.open(by="test")
    assert (len(data.train), len(data.val), len(data.test)) == expected.sizes
    for split in (data.train, data.val, test):
        count = len(split)
        assert split.x.dtype == torch.float32
        assert split.x.shape == (count, *expected.shape)
        assert split.x.is_contiguous()
        assert split.y.dtype == torch.int64
        assert split.y.shape == (count,)
        assert split.ids.dtype == torch.int64
        assert split.ids.shape == (count,)
        assert bool(torch.isfinite(split.x).all())


def test_ids_are_unique_and_disjoint(source: str, load_source: LoadSource) -> None:
    expected, data = EXPECTED[source], load_source()
    test = data.test.open(by="test")
    for split in (data.train, data.val, test):
        assert len(id_set(split)) == len(split)
    assert not id_set(data.train) & id_set(data.val)
    used = id_set(data.train) | id_set(data.val)
    if expected.own_test:
        assert id_set(test) == set(range(len(test)))
    else:
        assert not id_set(test) & used
        used |= id_set(test)
    assert used == set(range(len(used)))


def test_every_split_has_the_classes_in_proportion(load_source: LoadSource) -> None:
    data = load_source()
    train = torch.bincount(data.train.y, minlength=data.num_classes)
    val = torch.bincount(data.val.y, minlength=data.num_classes)
    share = (train + val) * (len(data.val) / (len(data.train) + len(data.val)))
    assert bool(((val - share).abs() <= 1.0).all()), (val, share)


def test_the_same_seed_gives_the_same_split(load_source: LoadSource) -> None:
    first, second = load_source(seed=3), load_source(seed=3)
    assert first.fingerprint == second.fingerprint
    assert torch.equal(first.train.x, second.train.x)
    assert torch.equal(first.val.ids, second.val.ids)


def test_another_seed_gives_another_split(load_source: LoadSource) -> None:
    first, second = load_source(seed=0), load_source(seed=1)
    assert first.fingerprint != second.fingerprint
    assert id_set(first.val) != id_set(second.val)


def test_train_fraction_is_nested_and_leaves_the_rest(load_source: LoadSource) -> None:
    whole = load_source()
    quarter, half = load_source(train_fraction=0.25), load_source(train_fraction=0.5)
    assert len(half.train) == round(len(whole.train) * 0.5)
    assert len(quarter.train) == round(len(whole.train) * 0.25)
    assert id_set(quarter.train) < id_set(half.train) < id_set(whole.train)
    for thinned in (quarter, half):
        assert torch.equal(thinned.val.x, whole.val.x)
        assert torch.equal(thinned.val.ids, whole.val.ids)
        assert torch.equal(thinned.test.open(by="test").x, whole.test.open(by="test").x)
        kept = torch.isin(whole.train.ids, thinned.train.ids)
        assert torch.equal(whole.train.x[kept], thinned.train.x)
        assert torch.equal(whole.train.y[kept], thinned.train.y)
        share = torch.bincount(whole.train.y) * (len(thinned.train) / len(whole.train))
        assert bool(((torch.bincount(thinned.train.y) - share).abs() <= 1.0).all())
    assert len({whole.fingerprint, half.fingerprint, quarter.fingerprint}) == 3


def test_normalization_is_measured_on_the_training_split(load_source: LoadSource) -> None:
    data = load_source(train_fraction=0.5)
    normalized = (data.train.x - data.mean) / data.std
    axes = tuple(i for i in range(normalized.ndim) if data.mean.ndim == 0 or i != 1)
    assert normalized.shape == data.train.x.shape
    torch.testing.assert_close(
        normalized.mean(dim=axes),
        torch.zeros_like(data.mean.flatten().squeeze()),
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        normalized.std(dim=axes, correction=0), torch.ones_like(data.std.flatten().squeeze())
    )


def test_global_random_numbers_are_left_alone(load_source: LoadSource) -> None:
    random.seed(1)
    np.random.seed(2)  # noqa: NPY002 - the global state is the subject
    torch.manual_seed(3)
    before = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    load_source()
    assert random.getstate() == before[0]
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(after, before[1], strict=True))
    assert torch.equal(torch.get_rng_state(), before[2])


def test_the_test_set_is_sealed_after_loading(load_source: LoadSource) -> None:
    data = load_source()
    assert data.test.opened_by == ()
    assert "tensor" not in repr(data.test)
