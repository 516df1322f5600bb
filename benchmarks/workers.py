"""Processes that do the same job at the same time, one torch thread each unless told otherwise.

They live through a whole benchmark, so that no start-up is measured.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import torch

from benchmarks.engines import train_population, train_reference
from benchmarks.loops import Trained, train_guide, train_plain
from benchmarks.machine import sgemm_peak
from benchmarks.problem import Spec, load_data, only, random_teachers, save_data
from kdsearch.training import TrainingData

SERIAL_GUIDE = "guide, as it stands"
"""One process, as Optuna runs it unless told otherwise, with as many threads as cores."""
SIDES: dict[str, Callable[..., Trained]] = {
    "guide": train_guide,
    SERIAL_GUIDE: train_guide,
    "plain": train_plain,
    "plain, fused Adam": partial(train_plain, fused_adam=True),
    "reference": train_reference,
    "population": train_population,
}
PEAK_SIZES = (512, 1024)


class Job(NamedTuple):
    """Students for one process to train."""

    side: str
    specs: tuple[Spec, ...]
    num_teachers: int
    epochs: int
    num_batches: int | None = None
    """Training batches an epoch; None for all."""
    threads: int = 1
    is_double: bool = False
    """Whether to compute in 64 bits, where rounding cannot hide a difference."""


class Done(NamedTuple):
    """What came of a job."""

    trained: Trained
    seconds: float
    """From the common start to the job's end."""
    sgemm_gflops: float
    """Measured with the job's threads right after it, while the others do the same."""


class Workers:
    """Several processes with the same data."""

    def __init__(self, count: int, data: TrainingData) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.pt"
            save_data(data, path)
            for _ in range(count):
                mine, theirs = context.Pipe()
                process = context.Process(target=serve, args=(theirs, path), daemon=True)
                process.start()
                self._pipes.append(mine)
                self._processes.append(process)
            for pipe in self._pipes:
                pipe.recv()  # has read its data

    def __enter__(self) -> "Workers":
        """Nothing more to start."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()

    def run(self, jobs: Sequence[Job]) -> list[Done]:
        """One job a process, begun together; those without a job stay idle."""
        pipes = self._pipes[: len(jobs)]
        for pipe, job in zip(pipes, jobs, strict=True):
            pipe.send(job)
        for pipe in pipes:
            pipe.recv()  # has built its teachers
        for pipe in pipes:
            pipe.send(None)
        return [pipe.recv() for pipe in pipes]


def serve(pipe: Connection, path: Path) -> None:
    """A worker's life."""
    data = load_data(path)
    pipe.send(None)
    while True:
        try:
            job: Job = pipe.recv()
        except EOFError:
            return
        torch.set_num_threads(job.threads)
        torch.set_default_dtype(torch.float32)
        teachers = random_teachers(job.num_teachers) if job.side in ("guide", SERIAL_GUIDE) else []
        part = only(data, num_teachers=job.num_teachers, num_batches=job.num_batches)
        if job.is_double:  # after the teachers were drawn, which would be others in 64 bits
            torch.set_default_dtype(torch.float64)
            part, teachers = in_double(part), [teacher.double() for teacher in teachers]
        pipe.send(None)
        pipe.recv()
        started = time.perf_counter()
        trained = SIDES[job.side](job.specs, part, teachers, epochs=job.epochs)
        seconds = time.perf_counter() - started
        pipe.send(Done(trained, seconds, sgemm_peak(PEAK_SIZES)))


def in_double(data: TrainingData) -> TrainingData:
    """The same numbers in 64 bits."""
    assert data.teacher_train is not None
    assert data.teacher_val is not None
    return data._replace(
        train_x=data.train_x.double(),
        val_x=data.val_x.double(),
        teacher_train=data.teacher_train.double(),
        teacher_val=data.teacher_val.double(),
    )
