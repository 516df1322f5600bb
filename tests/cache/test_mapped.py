"""Files that processes share: made once, whole or made again, their pages held once."""

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch

from kdsearch.cache import Mapped, mapped_tensors
from kdsearch.cache.mapped import ALWAYS_HASHED_BYTES
from kdsearch.errors import UserInputError

LARGE = ALWAYS_HASHED_BYTES // 4 + 1000


class Made:
    """Counts how often it is asked."""

    def __init__(self, size: int = 10) -> None:
        self.calls, self._size = 0, size

    def __call__(self) -> Mapped:
        self.calls += 1
        x = torch.arange(self._size, dtype=torch.float32)
        return Mapped({"x": x, "n": torch.tensor(3)}, {"name": "ä"})


def test_made_once(tmp_path: Path) -> None:
    made = Made()
    for _ in range(2):
        found = mapped_tensors(tmp_path / "deep" / "a.safetensors", made)
        assert found.tensors["x"].tolist() == list(range(10))
        assert int(found.tensors["n"]) == 3
        assert found.notes == {"name": "ä"}
    assert made.calls == 1
    assert not list(tmp_path.rglob("*.tmp"))


def settle(path: Path) -> None:
    """As if the file had been written some time ago."""
    earlier = time.time() - 10
    os.utime(path, (earlier, earlier))


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("damage", ["truncated", "changed", "renamed"])
def test_what_is_not_as_written_is_made_again(tmp_path: Path, size: int, damage: str) -> None:
    path, made = tmp_path / "a.safetensors", Made(size)
    mapped_tensors(path, made)
    settle(path)
    mapped_tensors(path, made)  # seen whole, some time after it was written
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[:-5])
    elif damage == "changed":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    else:
        path = tmp_path / "b.safetensors"
        path.write_bytes(content)
    assert torch.equal(mapped_tensors(path, made).tensors["x"], made().tensors["x"])
    assert made.calls == 3
    if damage != "renamed":
        assert path.read_bytes() == content


def test_a_large_file_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hashed = tmp_path / "a.safetensors", []
    mapped_tensors(path, Made(LARGE))
    settle(path)
    mapped_tensors(path, Made(LARGE))
    monkeypatch.setattr("kdsearch.cache.mapped.tensors_hash", hashed.append)
    mapped_tensors(path, Made(LARGE))
    assert not hashed


def test_writing_into_a_tensor_changes_no_file(tmp_path: Path) -> None:
    path, made = tmp_path / "a.safetensors", Made()
    mapped_tensors(path, made).tensors["x"].zero_()
    assert mapped_tensors(path, made).tensors["x"].tolist() == list(range(10))
    assert made.calls == 1


def test_the_least_used_files_go(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    first = mapped_tensors(paths[0], Made(1000)).tensors["x"]
    for age, path in zip((30, 20, 10), paths, strict=True):
        mapped_tensors(path, Made(1000), max_folder_bytes=10_000)  # two of them fit
        os.utime(path, (time.time() - age,) * 2)
    assert [path.exists() for path in paths] == [False, True, True]
    assert first.sum() == 499_500  # whoever has mapped it keeps it
    again = Made(1000)
    mapped_tensors(paths[0], again)
    assert again.calls == 1


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserInputError, match=r"cannot be written"):
        mapped_tensors(tmp_path / "file" / "a.safetensors", Made())


def read_and_wait(path: Path, ready: Event, done: Event) -> None:
    x = mapped_tensors(path, Made(LARGE)).tensors["x"]
    assert x.sum() > 0
    ready.set()
    done.wait(60)


def pages(path: Path) -> dict[str, int]:
    """What this process holds of a mapped file, in KiB, by kind."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(str(path)):
            return {k: int(v[0]) for k, *v in (next(lines).split() for _ in range(5))}
    raise AssertionError(f"{path} is not mapped")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks Linux")
def test_processes_share_the_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    x = mapped_tensors(path, Made(LARGE)).tensors["x"]
    x.sum()
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=read_and_wait, args=(path, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        held = pages(path)
        assert held["Rss:"] >= LARGE * 4 // 1024
        assert held["Pss:"] <= 0.51 * held["Rss:"]  # each of two processes counts half
    finally:
        done.set()
        other.join()
    assert other.exitcode == 0
