import copy
import pickle

import pytest
import torch

from kdsearch.data import SealedSplit, Split


@pytest.fixture
def split() -> Split:
    return Split(
        x=torch.full((3, 2), 77.5), y=torch.tensor([0, 1, 0]), ids=torch.tensor([4, 5, 9])
    )


def test_opening_gives_the_split_and_records_who(split: Split) -> None:
    sealed = SealedSplit(split)
    assert sealed.opened_by == ()
    assert sealed.open(by="confirm width=8 replicate=0") is split
    assert sealed.open(by="confirm width=8 replicate=1") is split
    assert sealed.opened_by == ("confirm width=8 replicate=0", "confirm width=8 replicate=1")


def test_the_size_is_known_without_opening(split: Split) -> None:
    sealed = SealedSplit(split)
    assert len(sealed) == 3
    assert sealed.opened_by == ()


@pytest.mark.parametrize("by", ["", "  "])
def test_nameless_opening_is_refused(split: Split, by: str) -> None:
    sealed = SealedSplit(split)
    with pytest.raises(ValueError, match="say who"):
        sealed.open(by=by)
    assert sealed.opened_by == ()


def test_nothing_public_reaches_the_samples(split: Split) -> None:
    sealed = SealedSplit(split)
    public = {name for name in dir(sealed) if not name.startswith("_")}
    assert public == {"open", "opened_by"}
    assert not hasattr(sealed, "__dict__")
    for name in ("x", "y", "ids"):
        with pytest.raises(AttributeError):
            getattr(sealed, name)
    with pytest.raises(TypeError):
        iter(sealed)  # pyrefly: ignore
    with pytest.raises(TypeError):
        sealed[0]  # pyrefly: ignore
    with pytest.raises(AttributeError):
        sealed.opened_by = ()  # pyrefly: ignore


def test_repr_shows_sizes_only(split: Split) -> None:
    sealed = SealedSplit(split)
    assert repr(sealed) == "SealedSplit(3 samples, sealed)"
    sealed.open(by="confirm")
    assert repr(sealed) == "SealedSplit(3 samples, opened by confirm)"
    assert repr(split) == "Split(3 samples of shape (2,))"


def test_copies_stay_sealed_and_remember(split: Split) -> None:
    sealed = SealedSplit(split)
    sealed.open(by="confirm")
    for twin in (copy.copy(sealed), pickle.loads(pickle.dumps(sealed))):
        assert twin.opened_by == ("confirm",)
        assert torch.equal(twin.open(by="again").x, split.x)
    assert sealed.opened_by == ("confirm",)
