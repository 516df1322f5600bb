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
def open_executor(workers: int | None) -> Iterator[Executor]:
    """Where to train: here for 0 workers, else in processes, one a core by default.

    This process computes in one thread meanwhile, and in as many as before afterwards.
    """
    threads = torch.get_num_threads()
    single_threaded()
    count = available_cores() if workers is None else workers
    executor = ProcessExecutor(count) if count > 0 else InlineExecutor()
    try:
        yield executor
    finally:
        executor.close()
        torch.set_num_threads(threads)


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
