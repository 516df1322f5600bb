"""Content hashes of weights: what makes a teacher the teacher it is."""

import hashlib

import torch
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
        # as bytes, because NumPy knows no bfloat16
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
