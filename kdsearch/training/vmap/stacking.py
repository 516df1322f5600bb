"""Which stack trains modules together, and whether one can.

B batch.
"""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from kdsearch.models.build import USERS_FAILURES
from kdsearch.models.conv1d import Conv1dNet
from kdsearch.training.vmap.conv1d_stack import Conv1dStack
from kdsearch.training.vmap.module_stack import ModuleStack

PROBE_SAMPLES = 8
RTOL, ATOL = 1e-4, 1e-5


def build_stack(models: Sequence[nn.Module]) -> ModuleStack:
    """The fastest stack of such modules, which are equal but for their numbers."""
    if has_own_passes(models[0]):
        return Conv1dStack(cast("Sequence[Conv1dNet]", models))
    return ModuleStack(models)


def has_own_passes(model: nn.Module) -> bool:
    """Whether a stack of such modules has its forward and backward passes written out."""
    return type(model) is Conv1dNet and all(
        p.requires_grad and p.device.type == "cpu" for p in model.parameters()
    )


def is_stackable(model: nn.Module, x: Tensor) -> bool:
    """Whether a stack trains such a module as it would be trained alone; tried, not guessed.

    Refused are modules that draw random numbers in training (dropout), that want their weights
    constrained after a step (a method `constrain`), that remember something outside of parameters
    and buffers, whose forward looks at the numbers it computes with, and those that a stack gives
    other logits, gradients or buffers.

    Args:
        model: Not changed.
        x: A few samples [B, ...], as it will be trained on.
    """
    try:
        # cuDNN's convolutions round to TF32, which is more than what tells wrong from right here.
        with torch.random.fork_rng(devices=[]), torch.backends.cudnn.flags(enabled=False):
            return _has_plain_state(model) and _agrees(model, x[:PROBE_SAMPLES])
    except USERS_FAILURES:
        return False


def _has_plain_state(model: nn.Module) -> bool:
    parameters = dict(model.named_parameters())
    known = parameters.keys() | dict(model.named_buffers()).keys()
    # Tied weights have two names in a state dict; `get_extra_state` has a name of its own.
    return (
        any(p.requires_grad for p in parameters.values())
        and not hasattr(model, "constrain")
        and set(model.state_dict()) <= known
        and {p.dtype for p in parameters.values()} == {torch.float32}
    )


def _agrees(model: nn.Module, x: Tensor) -> bool:
    alone = [copy.deepcopy(model), copy.deepcopy(model)]
    with torch.no_grad():
        for p in alone[1].parameters():
            p.mul_(0.9)
    stack = build_stack(alone)
    memory = _memory_of(stack.base)
    logits = x.new_empty(0)

    def slope(seen: Tensor, rows: slice) -> Tensor:
        nonlocal logits
        logits = torch.cat([logits.view(-1, *seen.shape[1:]), seen])  # [p, C, B]
        return 2 * seen

    grads = stack.gradients(x, slope, shared=True)
    for row, module in enumerate(alone):
        its = module.train()(x)
        trained = [p for p in module.parameters() if p.requires_grad]
        its_grads = torch.autograd.grad(its.square().sum(), trained)  # raises if one has none
        pairs = [(logits[row].t(), its)]
        pairs += zip(stack.numbers(grads, row).values(), its_grads, strict=True)
        buffers = stack.buffers(row)
        pairs += [(buffers[name], value) for name, value in module.named_buffers()]
        pairs.append((stack.predict(x)[row].t(), module.eval()(x)))
        if not all(torch.allclose(a, b, rtol=RTOL, atol=ATOL) for a, b in pairs):
            return False
    return _memory_of(stack.base) == memory


def _memory_of(model: nn.Module) -> list[dict[str, Any]]:
    """What modules remember as plain values."""
    plain = (bool, int, float, str)
    return [
        {k: v for k, v in vars(m).items() if isinstance(v, plain) and k != "training"}
        for m in model.modules()
    ]
