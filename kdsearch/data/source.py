"""What a data set is made from, as a hash that is found without making it."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import assert_never

import numpy as np

from kdsearch.config import (
    DataConfig,
    DigitsData,
    FashionMnistData,
    IdxData,
    ImportData,
    Mnist1dData,
    MnistData,
    NpzData,
)
from kdsearch.data.sources.fashion_mnist import fashion_mnist_files
from kdsearch.data.sources.idx import idx_files
from kdsearch.data.sources.mnist import mnist_files
from kdsearch.data.sources.raw import RawData


def source_digest(config: DataConfig, cache: Path) -> str | None:
    """SHA-256, in hex, of the files or packages that a data section names.

    None where only loading can tell: the user's own callable, or files that are not there (yet).
    """
    match config:
        case DigitsData():
            return _of_package("scikit-learn")
        case Mnist1dData():
            return _of_package("mnist1d")
        case IdxData():
            files = idx_files(Path(config.root).expanduser())
        case MnistData():
            files = mnist_files(cache=cache)
        case FashionMnistData():
            files = fashion_mnist_files(cache=cache)
        case NpzData():
            files = [Path(config.path).expanduser()]
        case ImportData():
            return None
        case _:
            assert_never(config)
    return _of_files(files)


def arrays_digest(raw: RawData) -> str:
    """SHA-256, in hex, of arrays that were checked."""
    digest = hashlib.sha256()
    for array in (raw.x, raw.y, raw.x_test, raw.y_test):
        if array is not None:
            digest.update(f"{array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()


def _of_package(name: str) -> str:
    return hashlib.sha256(f"{name} {version(name)}".encode()).hexdigest()


def _of_files(files: list[Path]) -> str | None:
    if not files or not all(file.is_file() for file in files):
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
