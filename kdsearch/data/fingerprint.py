"""The identity of data: hashes of everything in it."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

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


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and values of `tensors`, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{list(tensor.shape)};".encode())
        # as bytes, because NumPy knows no bfloat16; as a view, because samples fill memory
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
