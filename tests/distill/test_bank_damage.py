"""Damaged, forged and half-written teachers: one sentence, and no code is run."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kdsearch.config import ImportModel
from kdsearch.data import Dataset
from kdsearch.distill import TeacherBank, cached_teachers, state_hash
from kdsearch.errors import StaleCacheError
from kdsearch.results import TeacherRecord
from tests.distill.conftest import TEACHER, Fit, OpenBank, never_fit


@pytest.fixture
def bank(trained_cache: Path, digits: Dataset, tmp_path: Path) -> TeacherBank:
    shutil.copytree(trained_cache, tmp_path / "cache")
    return TeacherBank(TEACHER, digits, tmp_path / "cache")


@pytest.fixture
def folder(bank: TeacherBank, tmp_path: Path) -> Path:
    return tmp_path / "cache" / "teachers" / bank.member_key(1)


class Malicious:
    """Unpickling it leaves a file behind."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._proof),)


def refused(bank: TeacherBank) -> None:
    """Noticed by who loads it, and trained again by who wants it trained."""
    with pytest.raises(StaleCacheError, match="run again, and it is trained again") as caught:
        bank.load(1)
    assert "\n" not in str(caught.value)  # one sentence
    bank.load(2)  # the other member is none the worse
    assert not bank.is_cached(1)
    assert bank.is_cached(2)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_truncated_weights(bank: TeacherBank, folder: Path, keep: float) -> None:
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    refused(bank)


def test_one_changed_weight(bank: TeacherBank, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["body.readout.bias"][3] += 1e-6
    save_file(weights, folder / "model.safetensors")
    refused(bank)


def test_weights_of_the_other_member(bank: TeacherBank, folder: Path) -> None:
    other = folder.parent / bank.member_key(2)
    shutil.copy(other / "model.safetensors", folder / "model.safetensors")
    refused(bank)


def test_weights_of_another_architecture(bank: TeacherBank, folder: Path) -> None:
    save_file({"body.readout.bias": torch.zeros(3)}, folder / "model.safetensors")
    refused(bank)


def test_missing_weights(bank: TeacherBank, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(bank)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", '"text"', '{"record": {}, "weights": ""}', "\xff\xfe"]
)
def test_damaged_record(bank: TeacherBank, folder: Path, text: str) -> None:
    (folder / "teacher.json").write_bytes(text.encode("latin-1"))
    refused(bank)
    keys = [record.key for record in cached_teachers(folder.parent.parent)]
    assert keys == [bank.member_key(2)]


def test_record_without_the_weights_hash(bank: TeacherBank, folder: Path) -> None:
    saved = json.loads((folder / "teacher.json").read_text())
    del saved["weights"]
    (folder / "teacher.json").write_text(json.dumps(saved))
    refused(bank)


@pytest.mark.parametrize("file", ["model.safetensors", "teacher.json"])
def test_a_damaged_member_is_set_aside_and_trained_again(
    bank: TeacherBank, folder: Path, tmp_path: Path, file: str
) -> None:
    before = state_hash(bank.load(1).model)
    assert bank.is_cached(1)  # seen whole, and damaged afterwards
    (folder / file).write_bytes(b"damaged")
    fit = Fit(TEACHER, 1, tmp_path / "cache")
    again = bank.ensure(1, fit)
    assert fit.calls == 1
    assert state_hash(again.model) == before
    assert (folder / f"{file}.damaged").read_bytes() == b"damaged"
    assert bank.is_cached(1)
    bank.ensure(1, never_fit)
    assert len(cached_teachers(tmp_path / "cache")) == 2


def test_a_pickle_in_place_of_the_weights_is_not_run(
    bank: TeacherBank, folder: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "pwned"
    (folder / "model.safetensors").write_bytes(pickle.dumps(Malicious(proof)))
    refused(bank)
    assert not proof.exists()


def test_a_pickle_in_place_of_the_checkpoint_is_not_run(
    open_bank: OpenBank, tmp_path: Path
) -> None:
    bank, proof = open_bank(), tmp_path / "pwned"
    folder = tmp_path / "cache" / "teachers" / bank.member_key(1)
    folder.mkdir(parents=True)
    torch.save({"run": Malicious(proof), "train_seconds": 0.0}, folder / "checkpoint.pt")
    with pytest.raises(StaleCacheError, match="delete it"):
        bank.ensure(1, Fit(TEACHER, 1, tmp_path / "cache"))
    assert not proof.exists()
    torch.load(folder / "checkpoint.pt", weights_only=False)  # it would have worked elsewhere
    assert proof.exists()


@pytest.mark.parametrize("survives", [0, 1])
def test_killed_between_write_and_rename(
    open_bank: OpenBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: int
) -> None:
    """Killed before the first rename (weights) or before the second (record)."""
    bank, renames = open_bank(), 0
    rename = Path.replace

    def crash(self: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames > survives:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            bank.ensure(1, Fit(TEACHER, 1, tmp_path / "cache"))
    assert renames == survives + 1
    assert not bank.is_cached(1)
    assert cached_teachers(tmp_path / "cache") == []
    fit = Fit(TEACHER, 1, tmp_path / "cache")
    teacher = bank.ensure(1, fit)
    assert fit.calls == 1
    assert teacher.record.epochs == 2
    leftovers = list((tmp_path / "cache").rglob("*.tmp"))
    assert leftovers == []


def test_nothing_but_safetensors_and_json_is_left(bank: TeacherBank, folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "lock", "model.safetensors", "teacher.json"
    }  # fmt: skip


def test_tied_weights_are_saved_and_come_back(
    open_bank: OpenBank,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained_cache: Path,
    digits: Dataset,
) -> None:
    (tmp_path / "tied_net.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, input_shape, num_classes, width):\n"
        "        super().__init__()\n"
        "        self.a, self.b = nn.Linear(64, 64), nn.Linear(64, 64)\n"
        "        self.b.weight = self.a.weight\n"
        "        self.readout = nn.Linear(64, num_classes)\n"
        "    def forward(self, x):\n"
        "        return self.readout(self.b(self.a(x.flatten(1)).relu()).relu())\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    record = TeacherBank(TEACHER, digits, trained_cache).load(1).record
    bank = open_bank(model=ImportModel(kind="import", target="tied_net:Net"))

    def fit(model: nn.Module, folder: Path) -> TeacherRecord:
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.5)
        return record

    teacher = bank.ensure(1, fit)
    assert state_hash(bank.load(1).model) == state_hash(teacher.model)
