"""Modules of one architecture and one width as one module, by torch.func.

P students, B batch, C classes, M trained numbers of a student.

Trained weights are one row [M] a student, so that an optimizer steps all of them in a handful of
element-wise operations, whatever the architecture.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kdsearch.models.build import USERS_FAILURES

PROBE_SAMPLES = 8
RTOL, ATOL = 1e-4, 1e-5


class ModuleStack:
    """The weights and buffers of P modules, and their common forward pass."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Take over the modules' numbers; the modules themselves are not touched again.

        Args:
            models: Equal but for their numbers, on one device.
        """
        self._base = copy.deepcopy(models[0])
        trained = {n: p for n, p in self._base.named_parameters() if p.requires_grad}
        self._shapes = {name: p.shape for name, p in trained.items()}
        self._sizes = [p.numel() for p in trained.values()]
        self._saved = tuple(self._base.state_dict())
        numbers = [dict((*m.named_parameters(), *m.named_buffers())) for m in models]
        with torch.no_grad():
            self.flat = torch.stack(
                [torch.cat([row[name].flatten() for name in trained]) for row in numbers]
            )
            """Trained weights [P, M], the leaf that gradients are taken of."""
            self._others = {
                name: torch.stack([row[name] for row in numbers])
                for name in numbers[0]
                if name not in trained
            }
            """Buffers and frozen weights [P, ...]; batch norms move theirs in place."""
        self.flat.requires_grad_()

    @property
    def names(self) -> tuple[str, ...]:
        """The trained weights in the order of their numbers in `flat`."""
        return tuple(self._shapes)

    @property
    def sizes(self) -> list[int]:
        """How many numbers each of `names` has."""
        return self._sizes

    def forward(self, x: Tensor, *, shared: bool, training: bool) -> Tensor:
        """Logits [P, B, C].

        Args:
            x: [B, ...] if `shared`, else each student's own [P, B, ...].
            shared: Whether all read the same batch.
            training: The mode that the modules are in.
        """
        self._base.train(training)
        return vmap(self._call, in_dims=(0, None if shared else 0))(
            self._named(self.flat) | self._others, x
        )

    def put(self, row: int, named: dict[str, Tensor]) -> None:
        """Take over the numbers of one student, named as in its `state_dict`."""
        mine = self._row(row)
        with torch.no_grad():
            for name in self._saved:
                mine[name].copy_(named[name])

    def take(self, row: int) -> dict[str, Tensor]:
        """A copy of one student's numbers, named as in its `state_dict`."""
        mine = self._row(row)
        return {name: mine[name].detach().clone() for name in self._saved}

    def numbers(self, flat: Tensor, row: int) -> dict[str, Tensor]:
        """Views of one row of a tensor laid out as `flat`, such as moments, by weight."""
        return {name: value[row] for name, value in self._named(flat).items()}

    def _row(self, row: int) -> dict[str, Tensor]:
        others = {name: value[row] for name, value in self._others.items()}
        return self.numbers(self.flat, row) | others

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split(self._sizes, dim=1)
        return {
            name: part.view(len(flat), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _call(self, numbers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self._base, numbers, (x,))


def is_stackable(model: nn.Module, x: Tensor) -> bool:
    """Whether a stack trains such a module as it would be trained alone; tried, not guessed.

    Refused are modules that draw random numbers in training (dropout), that want their weights
    constrained after a step (a method `constrain`), that remember something
    outside of parameters and buffers, whose forward looks at the numbers it computes with, and
    those that a stack gives other logits, gradients or buffers.

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
    stack = ModuleStack(alone)
    memory = _memory_of(stack._base)
    logits = stack.forward(x, shared=True, training=True)
    (grads,) = torch.autograd.grad(logits.square().sum(), stack.flat)
    for row, module in enumerate(alone):
        its = module.train()(x)
        trained = [p for p in module.parameters() if p.requires_grad]
        its_grads = torch.autograd.grad(its.square().sum(), trained)  # raises if one has none
        pairs = [(logits[row], its)]
        pairs += zip(stack.numbers(grads, row).values(), its_grads, strict=True)
        buffers = dict(module.named_buffers())
        pairs += [(stack._others[name][row], value) for name, value in buffers.items()]
        eval_mode = stack.forward(x, shared=True, training=False)
        pairs.append((eval_mode[row], module.eval()(x)))
        if not all(torch.allclose(a, b, rtol=RTOL, atol=ATOL) for a, b in pairs):
            return False
    return _memory_of(stack._base) == memory


def _memory_of(model: nn.Module) -> list[dict[str, Any]]:
    """What modules remember as plain values."""
    plain = (bool, int, float, str)
    return [
        {k: v for k, v in vars(m).items() if isinstance(v, plain) and k != "training"}
        for m in model.modules()
    ]
