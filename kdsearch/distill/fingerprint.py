"""Content hashes of weights: what makes a teacher the teacher it is."""

import hashlib

from torch import Tensor, nn


def state_hash(model: nn.Module) -> str:
    """SHA-256 over names, shapes, types and values of all parameters and buffers."""
    return tensors_hash(model.state_dict())


def tensors_hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and values of `tensors`, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{tensor.dtype}:{list(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).numpy().tobytes())
    return digest.hexdigest()
