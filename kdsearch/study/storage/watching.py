"""Following a study that another process runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kdsearch.results import Results, State
from kdsearch.study.storage.database import sqlite_file
from kdsearch.study.storage.lock import is_held
from kdsearch.study.storage.outcome import load_results
from kdsearch.study.storage.paths import StudyPaths

LOOK_SECONDS = 5.0
"""Between two looks at the storage."""


class Look(NamedTuple):
    """What a study has found at one moment."""

    results: Results
    is_new: bool
    """Whether that is more than the last look found."""
    is_running: bool


def looks_at(
    name: str, *, storage: str, root: Path, derived: bool, seconds: float = LOOK_SECONDS
) -> Iterator[Look]:
    """What a study has found, at once, as it changes, and at last when nobody runs it any more.

    Args:
        name: Of the study.
        storage: Optuna storage URL.
        root: The folder that it is run in.
        derived: See `load_results`.
        seconds: Between two looks.

    Raises:
        UnknownStudyError: There is no such study.
    """
    seen: list[tuple[str, State]] | None = None
    while True:
        # Before it is read: what is read after nobody ran it is its last state.
        is_running = is_held(StudyPaths(root, name), sqlite_file(storage))
        results = load_results(name, storage=storage, derived=derived)
        state = [(trial.key, trial.state) for trial in results.trials]
        if state != seen or not is_running:
            yield Look(results, state != seen, is_running)
        if not is_running:
            return
        seen = state
        time.sleep(seconds)
