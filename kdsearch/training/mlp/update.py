"""Weight gradients of the first layer and the optimizer's step, made together.

The first layer holds most weights. Its gradient is made for a few hundred units at a time and
used while it is in the cache, and there is no array of all gradients.

P students, B batch, D inputs, h width of a student, U units of all students.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdsearch.config import TrainingConfig
from kdsearch.training.mlp.stack import Layout, MlpStack, UpperStack
from kdsearch.training.optimizer import SGD_MOMENTUM, schedule_factor

ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
"""PyTorch's defaults, which the reference loop has."""
PIECE_UNITS = 256
"""Measured: 256 units of 785 float32 gradients and a batch of 128 fill most of a 1 MB cache."""


class Share(NamedTuple):
    """A student's part of a piece."""

    row: int
    units: slice
    is_first: bool
    """Whether the student has no part in an earlier piece."""


class Piece(NamedTuple):
    """Neighbouring units of one block, whose gradients are one product."""

    block: int
    units: slice
    shares: tuple[Share, ...]


class LayerFactors(NamedTuple):
    """How one student's layer learns, as factors of its learning rate."""

    weight: float
    bias_ratio: float
    """The bias's factor over the matrix's."""


class Update:
    """Steps every student's weights with its own learning rate and weight decay."""

    def __init__(
        self,
        configs: Sequence[TrainingConfig],
        factors: Sequence[Sequence[LayerFactors] | None],
        layout: Layout,
        stacks: tuple[MlpStack, MlpStack, MlpStack],
        grads: UpperStack,
    ) -> None:
        """Bind everything that stays the same from step to step.

        Args:
            configs: Of each student, of one optimizer.
            factors: By student and layer; None where all layers learn at the student's rate.
            layout: Of the population.
            stacks: Weights, first and second moments.
            grads: Where the gradients of the upper layers will be.
        """
        self._configs, self._factors, self._layout = tuple(configs), tuple(factors), layout
        self._stacks, self._grads = stacks, grads
        weights = stacks[0].input
        # On a CUDA device one product is faster than some.
        limit = PIECE_UNITS if weights.device.type == "cpu" else layout.num_units
        pieces = tuple(make_pieces(layout, limit))
        size = max(p.units.stop - p.units.start for p in pieces)
        self._scratch = weights.new_empty(size, weights.shape[1])
        self.steps = weights.new_zeros(layout.num_rows)
        """Steps that each student has made, [P]."""
        self._rates = weights.new_zeros(layout.num_rows, layout.depth + 1)
        self._plan, self._is_constant = self._rates, False
        self._pieces = [(p, self._scratch[: _size(p.units)], self._calls(p)) for p in pieces]

    def plan(self, epochs_done: Sequence[int], num_steps: int) -> None:
        """Prepare the learning rates of an epoch.

        Args:
            epochs_done: Of each student.
            num_steps: In the epoch.
        """
        table = [
            [
                config.learning_rate * schedule_factor(config, epoch + index / num_steps)
                for config, epoch in zip(self._configs, epochs_done, strict=True)
            ]
            for index in range(num_steps)
        ]
        layers = self._layout.depth + 1
        factors = [[1.0] * layers if f is None else [x.weight for x in f] for f in self._factors]
        rates = torch.tensor(table).unsqueeze(2) * torch.tensor(factors)
        self._plan = rates.to(self._rates.device)
        self._is_constant = all(row == table[0] for row in table)

    def at_step(self, index: int) -> None:
        """Take the learning rates of step `index` of the planned epoch."""
        if index == 0 or not self._is_constant:
            self._rates.copy_(self._plan[index])

    def apply(self, down: Tensor, batches: Sequence[Tensor]) -> None:
        """Step all weights; the gradients of the upper layers are in place.

        Args:
            down: D loss / d first layer's outputs [U, B].
            batches: For each block, [B, D + 1].
        """
        self.steps.add_(1)
        for piece, grad, calls in self._pieces:
            torch.mm(down[piece.units], batches[piece.block], out=grad)
            for call in calls:
                call()

    def _calls(self, piece: Piece) -> list[Callable[[], object]]:
        calls: list[Callable[[], object]] = []
        for share in piece.shares:
            start = share.units.start - piece.units.start
            grads = [self._scratch[start : start + _size(share.units)]]
            stacks = [[stack.input[share.units]] for stack in self._stacks]
            if share.is_first:
                grads += self._grads.row(share.row)
                for tensors, stack in zip(stacks, self._stacks, strict=True):
                    tensors += stack.upper.row(share.row)
            factors = self._factors[share.row]
            if factors is None:
                calls.append(self._call(share.row, 0, grads, stacks))
                continue
            for layer, grad in enumerate(grads):
                tensors = [[stack[layer]] for stack in stacks]
                call = self._call(share.row, layer, [grad], tensors)
                bias, ratio = stacks[0][layer][:, -1], factors[layer].bias_ratio
                calls.append(functools.partial(with_bias_ratio, call, bias, ratio))
        return calls

    def _call(
        self, row: int, layer: int, grads: list[Tensor], stacks: Sequence[list[Tensor]]
    ) -> Callable[[], object]:
        # Contiguous: fused steps are silently wrong where strides differ (torch 2.13).
        assert all(t.is_contiguous() for tensors in (grads, *stacks) for t in tensors)
        weights, first, second = stacks
        config, rate = self._configs[row], self._rates[row, layer]
        if config.optimizer == "sgd":
            return functools.partial(
                torch._fused_sgd_,
                weights,
                grads,
                first,
                weight_decay=config.weight_decay,
                momentum=SGD_MOMENTUM,
                lr=rate,
                dampening=0.0,
                nesterov=True,
                maximize=False,
                is_first_step=False,
            )
        return functools.partial(
            torch._fused_adamw_ if config.optimizer == "adamw" else torch._fused_adam_,
            weights,
            grads,
            first,
            second,
            [],
            [self.steps[row]] * len(weights),
            lr=rate,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            weight_decay=config.weight_decay,
            eps=ADAM_EPS,
            amsgrad=False,
            maximize=False,
        )


def with_bias_ratio(step: Callable[[], object], bias: Tensor, ratio: float) -> None:
    """Step a matrix whose last column, the bias, has a learning rate of its own.

    An update is proportional to its rate, so the bias moves by the matrix's step times the ratio
    of the rates.
    """
    before = bias.clone()
    step()
    bias.sub_(before).mul_(ratio).add_(before)


def make_pieces(layout: Layout, limit: int) -> Iterator[Piece]:
    """Cut the units of each block into pieces of at most `limit`.

    Students narrower than that are not cut, but put together while they fit.
    """
    for index, block in enumerate(layout.blocks):
        waiting: list[Share] = []
        for row in range(block.rows.start, block.rows.stop):
            units = layout.units(row)
            if waiting and units.stop - waiting[0].units.start > limit:
                yield _piece(index, waiting)
                waiting = []
            for start in range(units.start, units.stop, limit):
                stop = min(start + limit, units.stop)
                waiting.append(Share(row, slice(start, stop), start == units.start))
                if stop < units.stop:
                    yield _piece(index, waiting)
                    waiting = []
        yield _piece(index, waiting)


def _piece(block: int, shares: Sequence[Share]) -> Piece:
    return Piece(block, slice(shares[0].units.start, shares[-1].units.stop), tuple(shares))


def _size(units: slice) -> int:
    return units.stop - units.start
