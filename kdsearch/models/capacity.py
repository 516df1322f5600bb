"""How big a model is."""

import itertools
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdsearch.config import ImportModel, ModelConfig
from kdsearch.models.build import build_model


class Capacity(NamedTuple):
    """Size of a model, input normalisation not counted."""

    num_params: int
    """Trainable parameters."""
    macs: int
    """Multiply-accumulates of matrix products and convolutions in one sample's forward pass."""
    size_bytes: int
    """Bytes of parameters and buffers as stored."""


def count_capacity(
    model: nn.Module, input_shape: tuple[int, ...], input_dtype: torch.dtype = torch.float32
) -> Capacity:
    """Count parameters, multiply-accumulates and bytes of `model`.

    Multiply-accumulates are half of what torch's own FlopCounterMode counts (it counts a
    multiply-accumulate as two operations, and no element-wise work).
    """
    stored = next(itertools.chain(model.parameters(), model.buffers()), torch.empty(0))
    sample = torch.zeros(1, *input_shape, dtype=input_dtype, device=stored.device)
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


def count_model(
    config: ModelConfig,
    *,
    input_shape: tuple[int, ...],
    num_classes: int,
    input_dtype: torch.dtype = torch.float32,
) -> Capacity:
    """Count what a model's section describes, without its memory: nothing of it is allocated.

    A user's own model is built for real, because its code may compute with its weights.

    Raises:
        UserInputError: As `build_model`.
    """
    is_own = isinstance(config, ImportModel)
    with nullcontext() if is_own else torch.device("meta"):
        model = build_model(
            config,
            input_shape=input_shape,
            num_classes=num_classes,
            seed=0,
            input_dtype=input_dtype,
        )
    return count_capacity(model, input_shape, input_dtype)
