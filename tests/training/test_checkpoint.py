"""Checkpoints are whole or absent, and are read without running anything."""

import hashlib
import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from kdsearch.errors import StaleCacheError
from kdsearch.training import checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "weights": torch.arange(50.0),
    "history": [{"epoch": 1, "loss": 0.1 + 0.2}],
    "best": 3,
    "none": None,
}


class Malicious:
    """Unpickling it leaves a folder behind."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._proof),)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "folder" / "checkpoint.pt"
    save_checkpoint(path, STATE)
    return path


def test_round_trip(path: Path) -> None:
    found = load_checkpoint(path)
    assert found is not None
    assert torch.equal(found["weights"], STATE["weights"])
    assert {k: v for k, v in found.items() if k != "weights"} == {
        k: v for k, v in STATE.items() if k != "weights"
    }


def test_nothing_there(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None
    (tmp_path / "checkpoint.tmp").write_bytes(b"half")  # what a killed writer leaves
    assert load_checkpoint(tmp_path / "checkpoint.pt") is None


def test_strides_and_types_come_back(tmp_path: Path) -> None:
    state = {
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "count": torch.tensor(7),
    }
    save_checkpoint(tmp_path / "c.pt", state)
    found = load_checkpoint(tmp_path / "c.pt")
    assert found is not None
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor)
        assert (found[name].dtype, found[name].stride()) == (tensor.dtype, tensor.stride())


def test_a_crash_before_the_rename_keeps_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(path, {"best": 4})
    found = load_checkpoint(path)
    assert found is not None
    assert found["best"] == 3
    save_checkpoint(path, {"best": 4})  # the leftover is in nobody's way
    assert load_checkpoint(path) == {"best": 4}
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_crash_while_writing_keeps_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", crash)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, {"best": 4})
    found = load_checkpoint(path)
    assert found is not None
    assert found["best"] == 3


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(StaleCacheError, match=r"checkpoint\.pt is damaged; delete it"):
        load_checkpoint(path)


def test_one_flipped_bit_anywhere(path: Path) -> None:
    """Weights and zip padding included: torch.load alone believes a third of these."""
    content = path.read_bytes()
    for position in range(0, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 4
        path.write_bytes(changed)
        with pytest.raises(StaleCacheError, match="delete it"):
            load_checkpoint(path)


@pytest.mark.parametrize("content", [b"hello", b"\x80\x02}q\x00.", b"\n\n\n", bytes(range(256))])
def test_something_else(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StaleCacheError, match="delete it"):
        load_checkpoint(path)


def test_a_malicious_pickle_is_not_run(path: Path, tmp_path: Path) -> None:
    proof = tmp_path / "pwned"
    path.write_bytes(pickle.dumps(Malicious(proof)))
    with pytest.raises(StaleCacheError):
        load_checkpoint(path)
    torch.save({"run": Malicious(proof)}, path)
    with pytest.raises(StaleCacheError):
        load_checkpoint(path)
    payload = path.read_bytes()
    digest = hashlib.sha256(payload).hexdigest().encode()
    path.write_bytes(b"kdsearch checkpoint " + digest + b"\n" + payload)  # a well-informed one
    with pytest.raises(StaleCacheError, match="cannot be read"):
        load_checkpoint(path)
    assert not proof.exists()


def test_another_versions_checkpoint_is_as_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records may have other fields, which would fail every student of the cohort."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FIELDS", ["EpochMetrics.epoch", "EpochMetrics.val_score"])
        assert load_checkpoint(path) is None
        save_checkpoint(path, STATE)
    assert load_checkpoint(path) is None
    buffer = io.BytesIO()
    torch.save(STATE, buffer)  # as 0.2.0 and before wrote them, without a list
    path.write_bytes(checkpoint._header(buffer.getbuffer()) + buffer.getvalue())
    assert load_checkpoint(path) is None
