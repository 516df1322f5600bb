"""Two processes that want the same member train it once."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from torch import nn

from kdsearch.data import Dataset, load_dataset
from kdsearch.distill import TeacherBank, TeacherInterrupted, state_hash
from kdsearch.results import TeacherRecord
from tests.distill.conftest import DATA, TEACHER, Fit, never_fit

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60.0


class LoggedFit(Fit):
    """Leaves a line in a file for each fit, and takes long enough for others to come."""

    def __init__(self, cache: Path, *, seconds: float) -> None:
        super().__init__(TEACHER, 1, cache)
        self._log = cache / "fits.log"
        self._seconds = seconds

    def __call__(self, model: nn.Module, folder: Path) -> TeacherRecord:
        with self._log.open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self._seconds)
        return super().__call__(model, folder)


def want_member(cache: Path, start: Event, seconds: float) -> None:
    """What each process does; writes the hash of what it got."""
    bank = TeacherBank(TEACHER, load_dataset(DATA, cache=cache), cache)
    start.wait(PATIENCE_SECONDS)
    teacher = bank.ensure(1, LoggedFit(cache, seconds=seconds))
    (logits,) = bank.logits(load_dataset(DATA, cache=cache).val, [1])
    checksum = f"{state_hash(teacher.model)} {float(logits.logits.double().sum())!r}"
    (cache / f"{os.getpid()}.hash").write_text(checksum)


def test_two_processes_train_one_member(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    processes = [spawn.Process(target=want_member, args=(tmp_path, start, 0.3)) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(PATIENCE_SECONDS)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len((tmp_path / "fits.log").read_text().splitlines()) == 1
    hashes = {file.read_text() for file in tmp_path.glob("*.hash")}
    assert len(list(tmp_path.glob("*.hash"))) == 2
    assert len(hashes) == 1


def test_a_killed_process_leaves_the_lock_and_no_half_teacher(
    tmp_path: Path, digits: Dataset
) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    start.set()
    process = spawn.Process(target=want_member, args=(tmp_path, start, PATIENCE_SECONDS))
    process.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "fits.log").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE_SECONDS)
    bank = TeacherBank(TEACHER, digits, tmp_path)
    assert not bank.is_cached(1)
    fit = Fit(TEACHER, 1, tmp_path)
    bank.ensure(1, fit)
    bank.ensure(1, never_fit)
    assert fit.calls == 1


def test_waiting_for_another_process_can_be_stopped(tmp_path: Path, digits: Dataset) -> None:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    start.set()
    process = spawn.Process(target=want_member, args=(tmp_path, start, PATIENCE_SECONDS))
    process.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "fits.log").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    asked = iter([False, True])
    began = time.monotonic()
    with pytest.raises(TeacherInterrupted):
        TeacherBank(TEACHER, digits, tmp_path).ensure(
            1, never_fit, should_stop=lambda: next(asked)
        )
    assert time.monotonic() - began < 5
    process.kill()
    process.join(PATIENCE_SECONDS)
