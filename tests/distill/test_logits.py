"""Cached logits belong to sample ids, and to the teacher that gave them."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdsearch.data import Dataset, Split
from kdsearch.distill import CachedLogits, LogitsCache, TeacherBank, state_hash
from kdsearch.errors import DivergedError, StaleCacheError
from kdsearch.models import predict_logits
from tests.distill.conftest import TEACHER, NoisyTeacher


@pytest.fixture
def bank(trained_cache: Path, digits: Dataset, tmp_path: Path) -> TeacherBank:
    cache = tmp_path / "copy"
    shutil.copytree(trained_cache, cache)
    return TeacherBank(TEACHER, digits, cache)


def cached_file(folder: Path) -> Path:
    (file,) = folder.rglob("*.safetensors")
    return file


@pytest.mark.parametrize("name", ["train", "val"])
def test_looked_up_by_id_under_shuffling(bank: TeacherBank, digits: Dataset, name: str) -> None:
    split: Split = getattr(digits, name)
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(7))
    found = bank.member_logits(split, split.ids[order])
    assert found.shape == (2, len(split), 10)
    for member in bank.members:
        model = bank.load(member).model
        with torch.no_grad():
            direct = model(split.x[order])  # another batch size, the shuffled samples themselves
        torch.testing.assert_close(found[member - 1], direct, rtol=1e-4, atol=1e-4)


def test_part_of_the_samples_and_repeats(bank: TeacherBank, digits: Dataset) -> None:
    every = bank.member_logits(digits.train, digits.train.ids)
    rows = torch.tensor([5, 900, 5, 0])
    assert torch.equal(bank.member_logits(digits.train, digits.train.ids[rows]), every[:, rows])


def test_train_and_val_are_not_mixed_up(bank: TeacherBank, digits: Dataset) -> None:
    with pytest.raises(StaleCacheError, match="have no cached teacher logits"):
        bank.member_logits(digits.train, digits.val.ids)


def test_logits_of_chosen_members(bank: TeacherBank, digits: Dataset) -> None:
    both = bank.logits(digits.val)
    (second,) = bank.logits(digits.val, [2])
    assert torch.equal(second.logits, both[1].logits)
    assert not torch.equal(both[0].logits, both[1].logits)
    assert bank.logits(digits.val, []) == []


def test_missing_ids_are_counted_and_named() -> None:
    cached = CachedLogits(ids=torch.tensor([2, 4, 6]), logits=torch.eye(3))
    assert cached.lookup(torch.tensor([6, 2])).tolist() == [[0, 0, 1], [1, 0, 0]]
    with pytest.raises(StaleCacheError, match=r"2 of 4 samples.*first id 3.*delete"):
        cached.lookup(torch.tensor([2, 3, 4, 99]))
    with pytest.raises(StaleCacheError, match="first id -1"):
        cached.lookup(torch.tensor([-1]))


class Counting(nn.Module):
    """Counts its forward passes."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.scale * x.flatten(1)[:, :3]


@pytest.fixture
def split() -> Split:
    generator = torch.Generator().manual_seed(0)
    return Split(
        x=torch.randn(20, 4, generator=generator),
        y=torch.zeros(20, dtype=torch.long),
        ids=torch.randperm(100, generator=generator)[:20],  # in no order
    )


def test_computed_once(split: Split, tmp_path: Path) -> None:
    teacher = Counting()
    first = LogitsCache(tmp_path).get(teacher, split)
    again = LogitsCache(tmp_path).get(teacher, split)
    assert teacher.calls == 1
    assert torch.equal(first.ids, split.ids.sort().values)
    assert torch.equal(first.logits, again.logits)
    assert torch.equal(first.lookup(split.ids), split.x[:, :3])


def test_never_stale(split: Split, tmp_path: Path) -> None:
    cache = LogitsCache(tmp_path)
    assert torch.equal(cache.get(Counting(1.0), split).lookup(split.ids), split.x[:, :3])
    doubled = cache.get(Counting(2.0), split)  # other weights
    assert torch.equal(doubled.lookup(split.ids), 2 * split.x[:, :3])
    moved = Split(x=split.x + 1, y=split.y, ids=split.ids)  # other samples of the same ids
    assert torch.equal(cache.get(Counting(1.0), moved).lookup(split.ids), split.x[:, :3] + 1)
    renamed = Split(x=split.x, y=split.y, ids=split.ids.flip(0))  # the same samples, other ids
    found = cache.get(Counting(1.0), renamed).lookup(split.ids)
    assert torch.equal(found, split.x[:, :3].flip(0))


def test_teachers_that_differ_only_in_what_they_compute(split: Split, tmp_path: Path) -> None:
    class Bent(nn.Module):
        def __init__(self, power: int) -> None:
            super().__init__()
            self.power = power  # neither a weight nor part of repr()

        def forward(self, x: Tensor) -> Tensor:
            return x[:, :3] ** self.power

    cache = LogitsCache(tmp_path)
    linear = cache.get(Bent(1), split, teacher_key="one")
    squared = cache.get(Bent(2), split, teacher_key="two")
    assert torch.equal(squared.lookup(split.ids), linear.lookup(split.ids) ** 2)


def test_a_teacher_in_train_mode_is_asked_in_eval_mode_and_left_unchanged(
    digits: Dataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    teacher = NoisyTeacher()
    teacher.train()
    teacher(digits.train.x[:64])  # running statistics that are not the initial ones
    before = state_hash(teacher)
    found = LogitsCache(tmp_path).get(teacher, digits.val).lookup(digits.val.ids)
    assert state_hash(teacher) == before
    assert teacher.training  # its mode is put back
    expected = predict_logits(teacher, digits.val.x)
    torch.testing.assert_close(found, expected)  # dropout off: the same again
    assert state_hash(teacher) == before
    with torch.no_grad():
        teacher(digits.val.x)
    assert state_hash(teacher) != before  # the hash would have seen a forward in train mode


def test_logits_carry_no_gradient(split: Split, tmp_path: Path) -> None:
    assert not LogitsCache(tmp_path).get(Counting(), split).logits.requires_grad


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_teacher_without_finite_logits_cannot_teach(
    value: float, split: Split, tmp_path: Path
) -> None:
    for _ in range(2):  # the second time as well as the first
        with pytest.raises(DivergedError, match="cannot teach"):
            LogitsCache(tmp_path).get(Counting(value), split)
    assert not list(tmp_path.rglob("*.safetensors"))


def recomputed(split: Split, folder: Path, original: bytes) -> None:
    """A refused file is not believed, and is put right."""
    teacher = Counting()
    found = LogitsCache(folder).get(teacher, split)
    assert teacher.calls == 1
    assert torch.equal(found.lookup(split.ids), split.x[:, :3])
    assert cached_file(folder).read_bytes() == original


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_truncated_file(split: Split, tmp_path: Path, keep: float) -> None:
    LogitsCache(tmp_path).get(Counting(), split)
    file = cached_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    recomputed(split, tmp_path, content)


def test_one_flipped_bit_anywhere(split: Split, tmp_path: Path) -> None:
    LogitsCache(tmp_path).get(Counting(), split)
    file = cached_file(tmp_path)
    content = file.read_bytes()
    for position in range(8, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1
        file.write_bytes(changed)
        recomputed(split, tmp_path, content)


def test_a_file_of_other_samples_under_this_name(split: Split, tmp_path: Path) -> None:
    LogitsCache(tmp_path / "a").get(Counting(), split)
    original = cached_file(tmp_path / "a").read_bytes()
    fewer = Split(x=split.x[:10], y=split.y[:10], ids=split.ids[:10])
    LogitsCache(tmp_path / "b").get(Counting(), fewer)
    shutil.copy(cached_file(tmp_path / "b"), cached_file(tmp_path / "a"))
    recomputed(split, tmp_path / "a", original)


def test_an_unfinished_write_is_not_taken_for_a_cache(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            LogitsCache(tmp_path).get(Counting(), split)
    assert not list(tmp_path.rglob("*.safetensors"))
    teacher = Counting()
    LogitsCache(tmp_path).get(teacher, split)
    assert teacher.calls == 1
