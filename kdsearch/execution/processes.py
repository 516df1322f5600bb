"""Tasks in worker processes on this machine: one task a worker, one torch thread each.

Workers are spawned, not forked (torch's thread pools do not survive a fork). They ignore SIGINT
and SIGTERM, which terminals and service managers send to the whole group: the coordinator asks
them to stop. They end by themselves when the coordinator is gone: at the next epoch, or at once
when idle.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as StopFlag

from kdsearch.execution.inline import start_task
from kdsearch.execution.student import single_threaded
from kdsearch.execution.task import (
    Idle,
    Notify,
    Task,
    TaskFailed,
    nothing_to_do,
)

POLL_SECONDS = 0.2
STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM}
ATTEMPTS = 2
"""A task whose worker dies is tried once more, from its checkpoint; one that raises is not."""


class TaskEnded:
    """A worker has nothing more to say about its task."""


class Worker:
    """One process and the pipe to it."""

    def __init__(self, stop: StopFlag) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=serve, args=(theirs, stop, os.getpid()), daemon=True
        )
        # Held back until `serve` ignores them: Ctrl-C reaches a worker that is starting, too.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        theirs.close()
        self.task: Task | None = None

    def end(self) -> None:
        """Ask the process to go, and make sure that it does."""
        self.pipe.close()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class ProcessExecutor:
    """A pool of workers, started when there is work for them."""

    def __init__(self, workers: int) -> None:
        self._limit = workers
        self._workers: list[Worker] = []
        self._stop: StopFlag = multiprocessing.get_context("spawn").Event()

    def run(
        self,
        tasks: Sequence[Task],
        *,
        notify: Notify,
        should_stop: Callable[[], bool],
        idle: Idle = nothing_to_do,
    ) -> None:
        """See `Executor.run`."""
        self._stop.clear()
        queue = deque(tasks)
        attempts = dict.fromkeys((task.key for task in tasks), 0)
        while queue or any(worker.task for worker in self._workers):
            if should_stop():
                self._stop.set()
                queue.clear()
            self._hand_out(queue, attempts)
            busy = {worker.pipe: worker for worker in self._workers if worker.task}
            ready = wait(list(busy), timeout=0)
            if not ready and not idle():
                ready = wait(list(busy), timeout=POLL_SECONDS)
            for pipe in ready:
                assert isinstance(pipe, Connection)
                self._listen(busy[pipe], queue, attempts, notify)

    def close(self) -> None:
        """End all workers."""
        self._stop.set()
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _hand_out(self, queue: deque[Task], attempts: dict[str, int]) -> None:
        for worker in [w for w in self._workers if not (w.task or w.process.is_alive())]:
            self._workers.remove(worker)  # died with nothing to do, so no task's attempt is lost
            worker.end()
        idle = [worker for worker in self._workers if worker.task is None]
        while queue and (idle or len(self._workers) < self._limit):
            if not idle:
                idle.append(Worker(self._stop))
                self._workers.append(idle[-1])
            worker = idle.pop()
            worker.task = queue.popleft()
            attempts[worker.task.key] += 1
            with suppress(ConnectionError):  # it has died just now; `_bury` will be next
                worker.pipe.send(worker.task)

    def _listen(
        self,
        worker: Worker,
        queue: deque[Task],
        attempts: dict[str, int],
        notify: Notify,
    ) -> None:
        task = worker.task
        assert task is not None
        try:
            event = worker.pipe.recv()
        except (EOFError, ConnectionError):
            self._bury(worker, queue, attempts, notify)
            return
        if isinstance(event, TaskEnded):
            worker.task = None
        else:
            notify(task, event)

    def _bury(
        self,
        worker: Worker,
        queue: deque[Task],
        attempts: dict[str, int],
        notify: Notify,
    ) -> None:
        self._workers.remove(worker)
        worker.end()
        task = worker.task
        assert task is not None
        if self._stop.is_set():
            return
        if attempts[task.key] < ATTEMPTS:
            queue.appendleft(task)
            return
        code = worker.process.exitcode or 0
        cause = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = "; out of memory?" if code == -signal.SIGKILL else ""
        notify(task, TaskFailed(f"its worker process {cause}, {ATTEMPTS} times{hint}"))


def serve(pipe: Connection, stop: StopFlag, coordinator: int) -> None:
    """What a worker process does: task by task, until the pipe closes."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    single_threaded()

    def should_stop() -> bool:
        return stop.is_set() or os.getppid() != coordinator

    try:
        while True:
            work(pipe, pipe.recv(), should_stop)
    except (EOFError, ConnectionError):
        return  # the coordinator has closed its end or is gone


def work(pipe: Connection, task: Task, should_stop: Callable[[], bool]) -> None:
    """Do one task, sending what happens."""
    for event in start_task(task, should_stop, pipe.send):
        pipe.send(event)
    pipe.send(TaskEnded())
