"""From a model's section of the study file to a module."""

from typing import assert_never

import torch
from torch import nn

from kdsearch.config import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.data import call_target
from kdsearch.errors import UserInputError
from kdsearch.models.cnn import Cnn
from kdsearch.models.conv1d import Conv1dNet
from kdsearch.models.mlp import Mlp


def build_model(
    config: ModelConfig, *, input_shape: tuple[int, ...], num_classes: int, seed: int
) -> nn.Module:
    """A freshly initialised module that maps [B, *input_shape] to logits [B, num_classes].

    Weights are a function of `seed` alone; the global random state is left as it was.

    Raises:
        UserInputError: The architecture cannot read samples of this shape, or an imported
            callable does not return such a module.
    """
    shape = {"input_shape": input_shape, "num_classes": num_classes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match config:
            case MlpModel():
                return Mlp(**shape, width=config.width, depth=config.depth)
            case Conv1dModel():
                return Conv1dNet(**shape, width=config.width, depth=config.depth)
            case CnnModel():
                return Cnn(**shape, width=config.width, depth=config.depth)
            case ImportModel():
                return _build_imported(config, **shape)
            case _:
                assert_never(config)


def describe_model(config: ModelConfig) -> str:
    """The architecture in words, such as `conv1d width 64 depth 3`."""
    if isinstance(config, ImportModel):
        return f"{config.target} width {config.width}"
    return f"{config.kind} width {config.width} depth {config.depth}"


def _build_imported(
    config: ImportModel, *, input_shape: tuple[int, ...], num_classes: int
) -> nn.Module:
    shape = {"input_shape": input_shape, "num_classes": num_classes, "width": config.width}
    model = call_target(config.target, shape | config.options)
    if not isinstance(model, nn.Module):
        raise UserInputError(
            f"{config.target} returned {type(model).__name__}; allowed is a torch.nn.Module"
        )
    model.eval()
    with torch.no_grad():
        logits_shape = tuple(model(torch.zeros(2, *input_shape)).shape)
    if logits_shape != (2, num_classes):
        raise UserInputError(
            f"{config.target} maps a batch of 2 samples to shape {list(logits_shape)}; allowed is "
            f"[2, {num_classes}], one logit a class"
        )
    return model.train()
