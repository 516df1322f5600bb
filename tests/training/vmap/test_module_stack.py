"""What a stack gives back."""

import pytest
import torch
from torch import nn

from kdsearch.training.vmap.module_stack import ModuleStack


def body(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), *layers, nn.Linear(4, 3))


def test_what_is_put_is_taken() -> None:
    models = [body(nn.BatchNorm1d(4)) for _ in range(3)]
    stack = ModuleStack(models)
    for row, model in enumerate(models):
        assert stack.take(row).keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert torch.equal(stack.take(row)[name], value)
    other = body(nn.BatchNorm1d(4))
    with torch.no_grad():
        for value in other.buffers():
            value.fill_(7)
    stack.put(1, other.state_dict())
    for row, model in enumerate((models[0], other, models[2])):
        for name, value in model.state_dict().items():
            assert torch.equal(stack.take(row)[name], value)


def test_modules_of_different_shapes_do_not_stack() -> None:
    with pytest.raises(RuntimeError):
        ModuleStack([nn.Linear(6, 3), nn.Linear(6, 4)])
