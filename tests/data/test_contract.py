"""What every data set must do, whatever its kind."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch

from kdsearch.data import Dataset
from kdsearch.testing import DataContract
from kdsearch.testing.data import LoadData, id_set


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


class TestOurs(DataContract):
    @pytest.fixture
    def load(self, load_source: LoadSource) -> LoadData:
        return load_source
