"""Checkpoints: written whole or not at all, read without unpickling code."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from kdsearch.errors import StaleCacheError


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`, replacing it atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None where nothing was.

    Raises:
        StaleCacheError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise StaleCacheError(f"checkpoint {path} is damaged; delete it") from error
