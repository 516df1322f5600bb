import multiprocessing
import time
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from kdsearch.cache import cache_folder
from kdsearch.cache.folder import cached_arrays
from kdsearch.errors import StaleCacheError, UserInputError


def test_the_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("KDSEARCH_CACHE", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"
    for unset in (lambda: monkeypatch.setenv("KDSEARCH_CACHE", ""), monkeypatch.undo):
        unset()
        monkeypatch.delenv("KDSEARCH_CACHE", raising=False)
        assert cache_folder() == platformdirs.user_cache_path("kdsearch")


def test_arrays_are_made_once(tmp_path: Path) -> None:
    path, calls = tmp_path / "deep" / "a.npz", []

    def make() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.arange(3)}

    for _ in range(2):
        assert cached_arrays(path, make)["x"].tolist() == [0, 1, 2]
    assert calls == [1]
    assert not list(path.parent.glob("*.tmp"))


def test_a_failure_while_making_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached_arrays(tmp_path / "a.npz", fail)
    assert not list(tmp_path.glob("*.npz*tmp"))
    assert not (tmp_path / "a.npz").exists()
    assert cached_arrays(tmp_path / "a.npz", lambda: {"x": np.ones(1)})["x"].tolist() == [1.0]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"half an archive")
    with pytest.raises(StaleCacheError, match=r"a\.npz is not .*delete it and run again"):
        cached_arrays(path, dict)


def test_an_unwritable_cache_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserInputError, match=r"cannot be written .*\$KDSEARCH_CACHE"):
        cached_arrays(tmp_path / "file" / "a.npz", dict)


def _make_slowly(path: Path, log: Path) -> None:
    def make() -> dict[str, np.ndarray]:
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        return {"x": np.arange(5)}

    assert cached_arrays(path, make)["x"].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
def test_two_processes_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (tmp_path / "a.npz", tmp_path / "log")
    processes = [context.Process(target=_make_slowly, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "made\n"
