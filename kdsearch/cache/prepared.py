"""Tensors made from a data set, kept in the cache as long as they are used."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kdsearch.cache.mapped import Mapped, mapped_tensors

PREPARED_VERSION = 1
"""Part of every file's name. Raise it with a change after which the same source gives other
tensors."""
MAX_BYTES = 4 * 2**30
"""Above it, the files that were used longest ago are deleted: all can be made again."""


def prepared_tensors(cache: Path, address: Sequence[object], make: Callable[[], Mapped]) -> Mapped:
    """What `make` gives, from a file that all processes of this machine map.

    Args:
        cache: The cache folder.
        address: All that the content follows from, as JSON can write it.
        make: Called if there is no such file yet.

    Raises:
        UserInputError: The cache folder cannot be written.
    """
    whole = [PREPARED_VERSION, np.__version__, *address]
    key = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:40]
    path = cache / "prepared" / f"{key}.safetensors"
    return mapped_tensors(path, make, max_folder_bytes=MAX_BYTES)
