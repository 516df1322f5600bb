"""The cache folder, and arrays that are made once and kept in it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock

from kdsearch.cache.archive import read_arrays
from kdsearch.errors import DataError, StaleCacheError, UserInputError

CACHE_VARIABLE = "KDSEARCH_CACHE"


def cache_folder() -> Path:
    """Where data sets, teachers and logits are kept: `$KDSEARCH_CACHE` or the user's cache folder.

    The folder may not exist yet; whoever writes into it makes it.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("kdsearch")


def prepare_cache(cache: Path) -> None:
    """Make the cache folder, and write a nameless file into it to see that it can be done.

    Raises:
        UserInputError: It cannot; the message names the folder and what decides it.
    """
    make_folder(cache)
    try:
        with tempfile.TemporaryFile(dir=cache):
            pass
    except OSError as error:  # what permissions do not show: a full disk, /proc
        raise unwritable(cache, error) from error


def dataset_folder(cache: Path) -> Path:
    """Where data sets lie inside the cache."""
    return cache / "datasets"


def cached_arrays(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays in `path`, made and written there first if the file is not there.

    Safe when several processes want the same file: one makes it, the others wait for it.

    Raises:
        StaleCacheError: the file is there but cannot be read.
        UserInputError: the cache folder cannot be written.
    """
    if not path.exists():
        make_folder(path.parent)
        with FileLock(path.with_name(path.name + ".lock")):
            if not path.exists():
                arrays = make()
                with whole_file(path) as unfinished, unfinished.open("wb") as file:
                    np.savez(file, allow_pickle=False, **arrays)
                return arrays
    try:
        return read_arrays(path)
    except DataError as error:
        raise StaleCacheError(f"{error} It is a cached file: delete it and run again.") from error


def make_folder(folder: Path) -> None:
    """Make a folder of the cache, if it is not there.

    Raises:
        UserInputError: It cannot be made, or not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise unwritable(folder, "permission denied")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside `path` to write, which then takes its place: a kill leaves no half of one.

    Raises:
        UserInputError: The folder cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def unwritable(folder: Path, reason: object) -> UserInputError:
    """What to raise where a folder of the cache cannot be written."""
    return UserInputError(
        f"The cache folder {folder} cannot be written ({reason}): "
        f"point ${CACHE_VARIABLE} at a folder that can."
    )
