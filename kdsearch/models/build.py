"""From a model's section of the study file to a module."""

from typing import assert_never

import torch
from torch import Tensor, nn

from kdsearch.config import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.errors import UserInputError
from kdsearch.models.cnn import Cnn
from kdsearch.models.conv1d import Conv1dNet
from kdsearch.models.mlp import Mlp, RegularizedMlp
from kdsearch.user_code import call_target

USERS_FAILURES = (Exception, SystemExit)
"""A user's forward may raise anything on samples it cannot read, and may leave by mistake."""


def build_model(
    config: ModelConfig,
    *,
    input_shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    input_dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """A freshly initialised module that maps [B, *input_shape] to logits [B, num_classes].

    Weights are a function of `seed` alone; the global random state is left as it was.

    Raises:
        UserInputError: The architecture cannot read samples of this shape or dtype, or an
            imported callable does not return such a module.
    """
    if not (input_dtype.is_floating_point or isinstance(config, ImportModel)):
        raise UserInputError(
            f"{config.kind} reads real numbers, but the samples are whole numbers (integers of "
            "more than a byte), which are kept as they are, such as token ids; give x as float32, "
            "or name a model of your own with kind: import"
        )
    shape = {"input_shape": input_shape, "num_classes": num_classes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match config:
            case MlpModel():
                return _build_mlp(config, **shape)
            case Conv1dModel():
                return Conv1dNet(**shape, width=config.width, depth=config.depth)
            case CnnModel():
                return Cnn(**shape, width=config.width, depth=config.depth)
            case ImportModel():
                return _build_imported(config, **shape, input_dtype=input_dtype)
            case _:
                assert_never(config)


def describe_model(config: ModelConfig) -> str:
    """The architecture in words, such as `conv1d width 64 depth 3`."""
    if isinstance(config, ImportModel):
        return f"{config.target} width {config.width}"
    words = f"{config.kind} width {config.width} depth {config.depth}"
    if isinstance(config, MlpModel):
        rates = {"dropout": config.dropout, "input dropout": config.input_dropout}
        words += "".join(f" {name} {rate:g}" for name, rate in rates.items() if rate)
        words += "" if config.max_norm is None else f" max norm {config.max_norm:g}"
    return words


def _build_mlp(config: MlpModel, *, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    shape = {"input_shape": input_shape, "num_classes": num_classes}
    if not config.is_regularized:
        return Mlp(**shape, width=config.width, depth=config.depth)
    return RegularizedMlp(
        **shape,
        width=config.width,
        depth=config.depth,
        dropout=config.dropout,
        input_dropout=config.input_dropout,
        max_norm=config.max_norm,
    )


def _build_imported(
    config: ImportModel,
    *,
    input_shape: tuple[int, ...],
    num_classes: int,
    input_dtype: torch.dtype,
) -> nn.Module:
    shape = {"input_shape": input_shape, "num_classes": num_classes, "width": config.width}
    model = call_target(config.target, shape | config.options)
    if not isinstance(model, nn.Module):
        raise UserInputError(
            f"{config.target} returned {type(model).__name__}; allowed is a torch.nn.Module"
        )
    if not config.pretrained and not any(p.requires_grad for p in model.parameters()):
        raise UserInputError(
            f"{config.target} returned a module without a parameter to train; `pretrained: true` "
            f"(teachers only) takes it as it is"
        )
    sample = torch.zeros(2, *input_shape, dtype=input_dtype)
    returned = _probe(model.eval(), config.target, sample)
    if not isinstance(returned, Tensor) or returned.shape != (2, num_classes):
        found = list(returned.shape) if isinstance(returned, Tensor) else type(returned).__name__
        raise UserInputError(
            f"{config.target} maps a batch of 2 samples to {found}; allowed is a tensor of shape "
            f"[2, {num_classes}], one logit a class"
        )
    return model.train()


@torch.no_grad()
def _probe(model: nn.Module, target: str, sample: Tensor) -> object:
    try:
        return model(sample)
    except USERS_FAILURES as error:
        reason = " ".join(str(error).split())  # messages are one line
        raise UserInputError(
            f"{target} returned a module that fails on a batch of shape {list(sample.shape)} with "
            f"{type(error).__name__}: {reason}"
        ) from error
