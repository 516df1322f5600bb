"""NumPy archives (`.npz`), read without ever unpickling anything."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from kdsearch.errors import DataError


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array in the archive at `path`, by name.

    Raises:
        DataError: the file is missing, is not an archive, is damaged, or holds Python objects.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: a NumPy archive (.npz) is expected there.")
    if not path.is_file():
        raise DataError(f"There is no file {path}: a NumPy archive (.npz) is expected there.")
    # np.load would read a bare .npy too, and calls anything else a pickle.
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a NumPy archive: write one with numpy.savez.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: _read(archive, name, path) for name in archive.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged and cannot be read ({error}).") from error


def _read(archive: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        array = archive[name]
    except ValueError as error:
        raise DataError(
            f"{path}: array '{name}' cannot be read ({error}); "
            "arrays of numbers are allowed, arrays of Python objects are not."
        ) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: member '{name}' is not a NumPy array; arrays are allowed.")
    return array
