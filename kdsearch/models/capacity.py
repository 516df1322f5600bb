"""How big a model is."""

import itertools
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Capacity(NamedTuple):
    """Size of a model, input normalisation not counted."""

    num_params: int
    """Trainable parameters."""
    macs: int
    """Multiply-accumulates of matrix products and convolutions in one sample's forward pass."""
    size_bytes: int
    """Bytes of parameters and buffers as stored."""


def count_capacity(model: nn.Module, input_shape: tuple[int, ...]) -> Capacity:
    """Count parameters, multiply-accumulates and bytes of `model`.

    Multiply-accumulates are half of what torch's own FlopCounterMode counts (it counts a
    multiply-accumulate as two operations, and no element-wise work).
    """
    stored = next(itertools.chain(model.parameters(), model.buffers()), torch.empty(0))
    sample = torch.zeros(1, *input_shape, device=stored.device)
    was_training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(sample)
    model.train(was_training)
    tensors = [*model.parameters(), *model.buffers()]
    return Capacity(
        num_params=sum(p.numel() for p in model.parameters() if p.requires_grad),
        macs=counter.get_total_flops() // 2,
        size_bytes=sum(t.numel() * t.element_size() for t in tensors),
    )
