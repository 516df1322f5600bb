"""Checkpoints: written whole or not at all, read without unpickling code.

A file is one header line with the SHA-256 of what follows, which torch.save wrote: torch checks
no checksum of its own, so a flipped bit in a weight would otherwise be trained on.
"""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from kdsearch.errors import StaleCacheError
from kdsearch.results import EpochMetrics, Evaluation, Outcome

MAGIC = b"kdsearch checkpoint "
FIELDS = [f"{m.__name__}.{f}" for m in (EpochMetrics, Evaluation, Outcome) for f in m.model_fields]
"""Of the records that a state may hold; another version of kdsearch may have others."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`, replacing it atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save({"fields": FIELDS, "state": state}, buffer)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(_header(buffer.getbuffer()))
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote; None where nothing was, or by a version with other records.

    What it was of is then trained again from its start, to the same numbers.

    Raises:
        StaleCacheError: The file is damaged.
    """
    if not path.exists():
        return None
    header, _, payload = path.read_bytes().partition(b"\n")
    if header + b"\n" != _header(payload):
        raise StaleCacheError(f"checkpoint {path} is damaged; delete it")
    try:
        saved = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise StaleCacheError(f"checkpoint {path} cannot be read; delete it") from error
    return saved["state"] if saved.get("fields") == FIELDS else None


def _header(payload: bytes | memoryview) -> bytes:
    return MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
