"""MNIST and its drop-in replacements: found on this machine, else fetched once from OpenML."""

import os
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np

from kdsearch.cache.folder import cached_arrays, dataset_folder
from kdsearch.data.sources.idx import holds_idx, idx_files, load_idx
from kdsearch.data.sources.raw import RawData
from kdsearch.errors import DataError

_DATA_VARIABLE = "KDSEARCH_DATA"
_TRAIN_SAMPLES, _TEST_SAMPLES, _SIDE = 60_000, 10_000, 28


def load_published(
    kind: str, *, openml_name: str, system_folders: Sequence[Path], cache: Path
) -> RawData:
    """Samples [1, 28, 28], bytes 0..255, in 10 classes, with the official test set.

    Looked for in `$KDSEARCH_DATA/<kind>`, `$KDSEARCH_DATA`, `system_folders` (MNIST-format files
    each) and the cache, in this order; else fetched from OpenML into the cache.

    Args:
        kind: what the study file calls it.
        openml_name: its name at OpenML, version 1.
        system_folders: where operating systems put it.
        cache: the cache folder.

    Raises:
        DataError: it is nowhere and cannot be fetched, or the files are malformed.
    """
    folder = _local_folder(kind, system_folders)
    if folder is not None:
        return load_idx(folder, name=kind)
    downloads = dataset_folder(cache)
    arrays = cached_arrays(
        downloads / f"{kind}.npz", lambda: _fetch(kind, openml_name, download_folder=downloads)
    )
    return RawData(name=kind, **arrays)


def published_files(kind: str, *, system_folders: Sequence[Path], cache: Path) -> list[Path]:
    """The files that `load_published` would read; the archive may not have been fetched yet."""
    folder = _local_folder(kind, system_folders)
    return [dataset_folder(cache) / f"{kind}.npz"] if folder is None else idx_files(folder)


def _local_folder(kind: str, system_folders: Sequence[Path]) -> Path | None:
    folders = (*_user_folders(kind), *system_folders)
    return next((folder for folder in folders if holds_idx(folder)), None)


def _user_folders(kind: str) -> tuple[Path, ...]:
    chosen = os.environ.get(_DATA_VARIABLE)
    if not chosen:
        return ()
    root = Path(chosen).expanduser()
    return root / kind, root


def _fetch(kind: str, openml_name: str, *, download_folder: Path) -> dict[str, np.ndarray]:
    from sklearn import datasets

    try:
        # Each retry warns; the sentence below says all that the user needs.
        with catch_warnings():
            simplefilter("ignore")
            bunch = datasets.fetch_openml(
                openml_name,
                version=1,
                parser="auto",
                as_frame=False,
                data_home=str(download_folder),
            )
    # No network, a server that answers nonsense (OpenMLError is a ValueError), a cut line.
    except (OSError, ValueError, HTTPException) as error:
        raise DataError(_how_to_supply(kind, error)) from error
    return _official_arrays(kind, np.asarray(bunch.data), np.asarray(bunch.target))


def _how_to_supply(kind: str, error: Exception) -> str:
    return (
        f"{kind} is not on this machine and could not be fetched from OpenML ({error}): put its "
        f"four MNIST-format files into a folder {kind} and point ${_DATA_VARIABLE} at the folder "
        "above it, or set data.kind to idx and data.root to the folder that holds them, or run "
        "once with a network connection."
    )


def _official_arrays(kind: str, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """OpenML keeps the official order: 60,000 training samples, then 10,000 test samples."""
    total = _TRAIN_SAMPLES + _TEST_SAMPLES
    if x.shape != (total, _SIDE * _SIDE) or y.shape != (total,):
        raise DataError(
            f"{kind}: OpenML sent samples of shape {x.shape} and labels of shape {y.shape}; "
            f"({total}, {_SIDE * _SIDE}) and ({total},) are expected."
        )
    pixels = x.astype(np.uint8).reshape(total, 1, _SIDE, _SIDE)
    labels = y.astype(np.int64)  # OpenML sends them as strings
    return {
        "x": pixels[:_TRAIN_SAMPLES],
        "y": labels[:_TRAIN_SAMPLES],
        "x_test": pixels[_TRAIN_SAMPLES:],
        "y_test": labels[_TRAIN_SAMPLES:],
    }
