"""Optimizers and the learning-rate schedule of the reference loop."""

import math
from typing import Any, assert_never

import torch
from torch import nn

from kdsearch.config import TrainingConfig
from kdsearch.models import mup_rate_factors

SGD_MOMENTUM = 0.9


def build_optimizer(
    model: nn.Module, config: TrainingConfig, *, width: int
) -> torch.optim.Optimizer:
    """An optimizer whose groups carry `rate_factor`, the muP factor of their parameters.

    Args:
        model: Its trainable parameters are optimised.
        config: Kind, weight decay and scaling rule.
        width: The model's width, which the muP factors depend on.
    """
    factors = dict.fromkeys((name for name, _ in model.named_parameters()), 1.0)
    if config.lr_scaling == "mup":
        factors = mup_rate_factors(
            model, optimizer=config.optimizer, width=width, base_width=config.mup_base_width
        )
    groups: dict[float, list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups.setdefault(factors[name], []).append(p)
    params: list[dict[str, Any]] = [
        {"params": ps, "rate_factor": factor} for factor, ps in groups.items()
    ]
    rate, decay = config.learning_rate, config.weight_decay
    # fused: 1.2x on a CPU, and checked against the plain loop in the tests, because it is wrong
    # where a gradient's strides differ from its parameter's (torch 2.13). backward() keeps the
    # strides of dense parameters only; a user's model may hold others.
    fused = all(_is_dense(p) for group in params for p in group["params"])
    match config.optimizer:
        case "adam":
            return torch.optim.Adam(params, lr=rate, weight_decay=decay, fused=fused)
        case "adamw":
            return torch.optim.AdamW(params, lr=rate, weight_decay=decay, fused=fused)
        case "sgd":
            return torch.optim.SGD(
                params, lr=rate, weight_decay=decay, momentum=SGD_MOMENTUM, nesterov=True
            )
        case _:
            assert_never(config.optimizer)


def _is_dense(p: nn.Parameter) -> bool:
    return torch.empty_like(p).stride() == p.stride()  # it keeps the strides of dense tensors


def schedule_factor(config: TrainingConfig, epochs_done: float) -> float:
    """Learning rate as a share of its peak, 0..1, after `epochs_done` (fractional) epochs.

    Warm-up rises linearly from 0; `cosine` then falls as (1 + cos(pi * progress)) / 2
    (Loshchilov & Hutter 2017, without restarts) to 0 at `config.epochs`.
    """
    if epochs_done < config.warmup_epochs:
        return epochs_done / config.warmup_epochs
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            span = config.epochs - config.warmup_epochs
            progress = min((epochs_done - config.warmup_epochs) / span, 1.0)
            return (1 + math.cos(math.pi * progress)) / 2
        case _:
            assert_never(config.schedule)
