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

MAGIC = b"kdsearch checkpoint "


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path`, replacing it atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(_header(buffer.getbuffer()))
        file.write(buffer.getbuffer())
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
    header, _, payload = path.read_bytes().partition(b"\n")
    if header + b"\n" != _header(payload):
        raise StaleCacheError(f"checkpoint {path} is damaged; delete it")
    try:
        return torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise StaleCacheError(f"checkpoint {path} cannot be read; delete it") from error


def _header(payload: bytes | memoryview) -> bytes:
    return MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
