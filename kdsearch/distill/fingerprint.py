"""Content hashes of weights: what makes a teacher the teacher it is."""

from torch import nn

from kdsearch.cache import tensors_hash


def state_hash(model: nn.Module) -> str:
    """SHA-256 over names, shapes, types and values of all parameters and buffers."""
    return tensors_hash(model.state_dict())
