"""The identity of data: hashes of everything in it."""

import hashlib
from collections.abc import Iterable

from kdsearch.data.split import Split


def fingerprint_splits(splits: Iterable[tuple[str, Split]]) -> str:
    """SHA-256, in hex, of the names, shapes, dtypes and contents of `splits`."""
    digest = hashlib.sha256()
    for name, split in splits:
        for field in ("x", "y", "ids"):
            array = getattr(split, field).contiguous().numpy()
            digest.update(f"{name}.{field} {array.dtype.str} {array.shape}\n".encode())
            digest.update(memoryview(array).cast("B"))
    return digest.hexdigest()
