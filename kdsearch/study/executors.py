"""Where a run trains, and how it is asked to stop."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from kdsearch.execution import Executor, InlineExecutor, ProcessExecutor
from kdsearch.execution.student import single_threaded


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def open_executor(workers: int | None, given: Executor | None = None) -> Iterator[Executor]:
    """Where to train: here for 0 workers, else in processes, one a core by default.

    This process computes in one thread meanwhile, and in as many as before afterwards.

    Args:
        workers: Processes, or 0.
        given: Another place, which its owner closes.
    """
    threads = torch.get_num_threads()
    single_threaded()
    executor = given if given is not None else _own_executor(workers)
    try:
        yield executor
    finally:
        if given is None:
            executor.close()
        torch.set_num_threads(threads)


def _own_executor(workers: int | None) -> Executor:
    count = available_cores() if workers is None else workers
    return ProcessExecutor(count) if count > 0 else InlineExecutor()


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a flag; a second SIGINT interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if flag.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.set()

    previous = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
