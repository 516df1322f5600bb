"""Views are functions of seed, view and sample id, and of nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kdsearch.config import AugmentConfig
from kdsearch.data import Augmentation, Dataset, Split
from kdsearch.data.augmentation import draw, shift_and_flip
from kdsearch.errors import DataError

WriteModule = Callable[[str], str]


def views_of(dataset: Dataset) -> Augmentation:
    assert dataset.augmentation is not None
    return dataset.augmentation


def moved_by_hand(sample: np.ndarray, draws: np.ndarray, shift: int, *, flip: bool) -> np.ndarray:
    """One sample [C, *spatial], mirrored, then moved: as one would write it down."""
    if flip and draws[-1] >= 2**63:
        sample = sample[..., ::-1]
    spatial = sample.shape[1:]
    moved = np.zeros_like(sample)
    steps = [int(d % (2 * shift + 1)) - shift for d in draws[:-1].tolist()]
    for place in np.ndindex(*spatial):
        source = tuple(p - s for p, s in zip(place, steps, strict=True))
        if all(0 <= p < size for p, size in zip(source, spatial, strict=True)):
            moved[(slice(None), *place)] = sample[(slice(None), *source)]
    return moved


@pytest.mark.parametrize("shape", [(1, 9), (2, 9), (1, 5, 6), (3, 4, 5)])
@pytest.mark.parametrize(("shift", "flip"), [(2, True), (1, False), (0, True)])
def test_samples_are_mirrored_and_moved(shape: tuple[int, ...], shift: int, *, flip: bool) -> None:
    x = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    draws = draw(5, np.arange(40), len(shape))
    found = shift_and_flip(x, draws, shift=shift, flip=flip)
    for i in range(40):
        expected = moved_by_hand(x[i].numpy(), draws[i], shift, flip=flip)
        assert np.array_equal(found[i].numpy(), expected), i


def test_numbers_belong_to_ids() -> None:
    everyone = draw(7, np.arange(10_000), 3)
    some = np.array([9_999, 4, 4, 1234])
    assert np.array_equal(draw(7, some, 3), everyone[some])
    assert not np.array_equal(draw(8, some, 3), everyone[some])
    assert len(np.unique(everyone)) == everyone.size


def test_moves_are_uniform() -> None:
    draws = draw(0, np.arange(50_000), 2)
    counts = np.bincount((draws[:, 0] % np.uint64(5)).astype(int))
    assert counts.shape == (5,)
    assert np.abs(counts / 10_000 - 1).max() < 0.05  # five standard deviations
    assert abs((draws[:, 1] >> np.uint64(63)).mean() - 0.5) < 0.012
    together = np.corrcoef((draws >> np.uint64(40)).astype(float).T)
    assert abs(together[0, 1]) < 0.025


def test_a_view_of_a_sample_does_not_depend_on_the_others(load) -> None:
    augment = {"shift": 2, "flip": True, "views": 3}
    whole = load(kind="digits", augment=augment)
    fewer = load(kind="digits", augment=augment, train_fraction=0.3)
    rows = torch.searchsorted(whole.train.ids, fewer.train.ids)
    for number in range(3):
        every, some = (views_of(d).view(number) for d in (whole, fewer))
        assert torch.equal(every.x[rows], some.x)
        assert torch.equal(every.ids[rows], some.ids)
        assert not torch.equal(every.x, whole.train.x)


def test_views_differ_and_come_again(load) -> None:
    section = {"kind": "digits", "augment": {"shift": 1, "views": 4}}
    views = views_of(load(**section))
    x = [views.view(number).x for number in range(4)]
    assert all(not torch.equal(x[i], x[j]) for i in range(4) for j in range(i))
    assert [views.view_of_epoch(e) for e in (1, 2, 4, 5, 9)] == [0, 1, 3, 0, 0]
    again = views_of(load(**section))
    assert torch.equal(again.view(2).x, x[2])
    # The seed of another split is the seed of other views.
    assert views_of(load(**section, seed=1)).identity(0) != views.identity(0)


def test_an_address_says_what_was_done(load) -> None:
    def address(number: int = 0, **augment: object) -> str:
        dataset = load(kind="digits", augment={"shift": 1} | augment)
        return views_of(dataset).view(number).digest

    assert len({address(), address(1), address(shift=2), address(flip=True)}) == 4
    assert address(views=3) == address(views=5)  # how many there are changes none of them


def test_validation_and_test_samples_stay_as_they_are(load) -> None:
    plain, augmented = load(kind="digits"), load(kind="digits", augment={"shift": 1})
    assert plain.augmentation is None
    assert plain.fingerprint == augmented.fingerprint
    assert torch.equal(plain.train.x, augmented.train.x)  # the views are beside it
    assert torch.equal(plain.val.x, augmented.val.x)


def test_flat_samples_have_no_place_to_go(load, tmp_path: Path) -> None:
    path = tmp_path / "flat.npz"
    np.savez(path, allow_pickle=False, x=np.random.default_rng(0).normal(size=(60, 7)),
             y=np.arange(60) % 2)  # fmt: skip
    with pytest.raises(DataError, match=r"samples of shape \[7\] are flat.*\[samples, channels"):
        load(kind="npz", path=str(path), augment={"flip": True})


def test_a_shift_out_of_sight(load, sources) -> None:
    section = sources.section("npz")  # samples of 5 channels, 4 long
    with pytest.raises(DataError, match=r"shift: 4 moves whole samples.*at most 3"):
        load(**section, augment={"shift": 4})


TRANSFORMS = """
import torch

def noise(x, generator):
    return x + torch.randn(x.shape, generator=generator)

def in_place(x, *, generator):
    return x.add_(torch.randn(x.shape, generator=generator))

def without_identity(x):
    return x + torch.randn(x.shape)

def deaf(x, generator):
    return x + torch.randn(x.shape)

def smaller(x, generator):
    return x[:, :, 1:]

def broken(x, generator):
    raise KeyError("no")
"""


@pytest.fixture
def transform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_transforms.py").write_text(TRANSFORMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_transforms"


@pytest.mark.parametrize("name", ["noise", "in_place"])
def test_the_users_own_transform(load, transform: str, name: str) -> None:
    augment = {"transform": f"{transform}:{name}", "views": 2}
    whole = load(kind="digits", augment=augment)
    before = whole.train.x.clone()
    first, second = (views_of(whole).view(number) for number in (0, 1))
    noise = first.x - whole.train.x
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    assert not torch.equal(first.x, second.x)
    assert torch.equal(views_of(load(kind="digits", augment=augment)).view(0).x, first.x)
    assert torch.equal(whole.train.x, before)
    fewer = load(kind="digits", augment=augment, train_fraction=0.4)
    rows = torch.searchsorted(whole.train.ids, fewer.train.ids)
    assert torch.equal(views_of(fewer).view(0).x, first.x[rows])
    assert len({first.digest, second.digest, views_of(fewer).view(0).digest}) == 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("without_identity", r"cannot be called as f\(x, generator=...\).*no view identity"),
        ("deaf", r"other samples when it was called again for the same view.*cached logits"),
        ("smaller", r"returned shape \[64, 1, 7, 8\].*\[64, 1, 8, 8\], is allowed"),
        ("broken", r"failed with KeyError"),
        ("absent", r"has no 'absent'"),
    ],
)
def test_a_transform_that_teacher_and_student_could_not_share(
    load, transform: str, name: str, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        load(kind="digits", augment={"transform": f"{transform}:{name}"})


@pytest.mark.slow
def test_made_on_whatever_device_the_samples_are_on() -> None:
    ids = torch.tensor([3, 5, 8])
    split = Split(x=torch.ones(3, 1, 4), y=torch.zeros(3, dtype=torch.long), ids=ids)
    config = AugmentConfig(shift=1)
    views = Augmentation(config, seed=0, train=split, whole=split)
    made: Tensor = views.apply(split.x.to("meta"), 0)
    assert made.device.type == "meta"
    assert made.shape == (3, 1, 4)
