"""Mean and standard deviation of a training set, for the whole set or for each channel."""

import numpy as np
import torch
from torch import Tensor

_BLOCK = 1024  # samples converted to float64 at once


def measure_normalization(x: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of `x`.

    One number each for flat samples [D] and for a single channel [1, ...]; one for each channel
    of [C, ...] with C > 1. A standard deviation of 0 is given as 1, so that dividing by it is
    safe. Sums are float64 in a fixed order: the result is the same for any number of threads.

    Args:
        x: float32 [N, *input_shape]; or whole numbers, which have no scale: mean 0, deviation 1.

    Returns:
        mean, std: float32, [] or [C, 1, ...] so that they broadcast over [N, *input_shape].
    """
    if x.dtype.kind != "f":
        return torch.zeros(()), torch.ones(())
    per_channel = x.ndim > 2 and x.shape[1] > 1
    axes = tuple(axis for axis in range(x.ndim) if not (per_channel and axis == 1))
    count = x.size // (x.shape[1] if per_channel else 1)
    blocks = [x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK)]

    def total(values: list[np.ndarray]) -> np.ndarray:
        return np.sum(np.stack(values), axis=0)

    mean = total([block.sum(axis=axes, dtype=np.float64, keepdims=True) for block in blocks])
    mean /= count
    variance = total([np.square(block - mean).sum(axis=axes, keepdims=True) for block in blocks])
    variance /= count
    std = np.sqrt(variance)
    # A constant in float32 leaves only rounding behind; that is no spread.
    std = np.where(std > np.finfo(np.float32).eps * np.abs(mean), std, 1.0)
    shape = mean.shape[1:] if per_channel else ()
    return (
        torch.from_numpy(mean.reshape(shape).astype(np.float32)),
        torch.from_numpy(std.reshape(shape).astype(np.float32)),
    )
