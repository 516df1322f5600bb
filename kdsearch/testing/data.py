"""What every data set must do, whatever its kind."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from kdsearch.data import Dataset, Split

LoadData = Callable[..., Dataset]


class DataContract:
    """Subclass it and give it a fixture `load`."""

    @pytest.fixture
    def load(self) -> LoadData:
        """Loads the data set under test; keywords change fields of its section, such as `seed`."""
        raise NotImplementedError

    def test_splits_are_tensors_with_ids_of_their_own(self, load: LoadData) -> None:
        """No sample is in two splits, and every value is finite."""
        data = load()
        splits = (data.train, data.val, data.test.open(by="contract"))
        for split in splits:
            assert split.x.shape == (len(split), *data.input_shape)
            assert split.x.is_contiguous()
            assert split.y.dtype == split.ids.dtype == torch.int64
            assert split.y.shape == split.ids.shape == (len(split),)
            assert 0 <= int(split.y.min()) <= int(split.y.max()) < data.num_classes
            assert bool(torch.isfinite(split.x).all())
            assert len(id_set(split)) == len(split)
        assert not id_set(data.train) & id_set(data.val)

    def test_every_split_has_the_classes_in_proportion(self, load: LoadData) -> None:
        """Within one sample of each class."""
        data = load()
        train = torch.bincount(data.train.y, minlength=data.num_classes)
        val = torch.bincount(data.val.y, minlength=data.num_classes)
        share = (train + val) * (len(data.val) / (len(data.train) + len(data.val)))
        assert bool(((val - share).abs() <= 1.0).all()), (val, share)

    def test_the_same_seed_gives_the_same_split(self, load: LoadData) -> None:
        """To the bit."""
        first, second = load(seed=3), load(seed=3)
        assert first.fingerprint == second.fingerprint
        assert torch.equal(first.train.x, second.train.x)
        assert torch.equal(first.val.ids, second.val.ids)

    def test_another_seed_gives_another_split(self, load: LoadData) -> None:
        """Of the same samples."""
        first, second = load(seed=0), load(seed=1)
        assert first.fingerprint != second.fingerprint
        assert id_set(first.val) != id_set(second.val)

    def test_train_fraction_is_nested_and_leaves_the_rest(self, load: LoadData) -> None:
        """A quarter is part of the half; validation and test stay."""
        whole = load()
        quarter, half = load(train_fraction=0.25), load(train_fraction=0.5)
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

    def test_normalization_is_measured_on_the_training_split(self, load: LoadData) -> None:
        """Mean 0 and standard deviation 1, as far as anything varies."""
        data = load(train_fraction=0.5)
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

    def test_global_random_numbers_are_left_alone(self, load: LoadData) -> None:
        """Of torch, Python and NumPy."""
        random.seed(1)
        np.random.seed(2)  # noqa: NPY002 - the global state is the subject
        torch.manual_seed(3)
        before = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
        load()
        assert random.getstate() == before[0]
        after = np.random.get_state()  # noqa: NPY002
        assert all(np.array_equal(a, b) for a, b in zip(after, before[1], strict=True))
        assert torch.equal(torch.get_rng_state(), before[2])

    def test_the_test_set_is_sealed_after_loading(self, load: LoadData) -> None:
        """Nobody has looked."""
        data = load()
        assert data.test.opened_by == ()
        assert "tensor" not in repr(data.test)


def id_set(split: Split) -> set[int]:
    """Ids of a split's samples."""
    return set(split.ids.tolist())
