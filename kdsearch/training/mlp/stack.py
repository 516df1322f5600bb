"""The weights of many MLPs of different widths as a few tensors, without padding.

P students, B batch, D inputs, C classes, h width of a student, U = sum of (h + 1) units.

Neighbours of one width form a group: layers after the first are one batched product a group.
Neighbours that see the same batches form a block: the first layer is one product a block,
whatever the widths. Activations are feature-major ([U, B]): a student's units are contiguous.
Each student has one more unit, which is constant 1, so that biases are a column of their weight
matrix: no bias additions and no bias gradients. The constant unit's own weights are fixed; its
row is left out of `MlpStack.row`.
"""

from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T", bound=Hashable)


class Group(NamedTuple):
    """Neighbouring students of one width."""

    width: int
    rows: slice
    """Their positions in the population."""
    units: slice
    """Their rows on the unit axis, constant units included."""


class Block(NamedTuple):
    """Neighbouring students that see the same batches."""

    rows: slice
    units: slice


class Layout(NamedTuple):
    """What a population looks like: everything but its numbers."""

    widths: tuple[int, ...]
    """Of each student."""
    groups: tuple[Group, ...]
    blocks: tuple[Block, ...]
    depth: int
    """Hidden layers of every student."""
    fan_in: int
    num_classes: int

    @property
    def num_rows(self) -> int:
        """Students, P."""
        return len(self.widths)

    @property
    def num_units(self) -> int:
        """Units of a layer over all students, U."""
        return self.groups[-1].units.stop

    def find(self, row: int) -> tuple[Group, int]:
        """Group of a student and its position there."""
        group = next(group for group in self.groups if row < group.rows.stop)
        return group, row - group.rows.start

    def units(self, row: int) -> slice:
        """A student's units, without the constant one."""
        group, place = self.find(row)
        start = group.units.start + place * (group.width + 1)
        return slice(start, start + group.width)

    def sharing_batches(self) -> "Layout":
        """The same students, all in one block."""
        everything = Block(slice(0, self.num_rows), slice(0, self.num_units))
        return self._replace(blocks=(everything,))


def make_layout(
    widths: Sequence[int],
    sources: Sequence[Hashable],
    *,
    depth: int,
    fan_in: int,
    num_classes: int,
) -> Layout:
    """The layout of students in a given order; like neighbours are trained together.

    Args:
        widths: Of each student.
        sources: What decides each student's batches; equal ones are equal batches.
        depth: Hidden layers.
        fan_in: Inputs, D.
        num_classes: Outputs, C.
    """
    starts = [0]
    for width in widths:
        starts.append(starts[-1] + width + 1)
    groups = tuple(
        Group(width, rows, slice(starts[rows.start], starts[rows.stop]))
        for width, rows in runs(widths)
    )
    blocks = tuple(
        Block(rows, slice(starts[rows.start], starts[rows.stop])) for _, rows in runs(sources)
    )
    return Layout(tuple(widths), groups, blocks, depth, fan_in, num_classes)


def runs(values: Sequence[T]) -> Iterator[tuple[T, slice]]:
    """Equal neighbours: their value and where they are."""
    start = 0
    for value, equal in groupby(values):
        stop = start + len(list(equal))
        yield value, slice(start, stop)
        start = stop


class MlpStack:
    """One number for each weight of a population: its weights or its moments."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        self.input = torch.zeros(layout.num_units, layout.fan_in + 1, device=device)
        """[U, D + 1]."""
        self.upper = UpperStack(layout, device)
        """The layers after the first."""

    def fix_constants(self) -> None:
        """Give the constant units the weights that keep them 1."""
        for index, group in enumerate(self._layout.groups):
            units = self.input[group.units].view(-1, group.width + 1, self.input.shape[1])
            for layer in (units, *(hidden[index] for hidden in self.upper.hidden)):
                layer[:, -1, :] = 0
                layer[:, -1, -1] = 1

    def row(self, row: int) -> list[Tensor]:
        """A student's weights: contiguous views [h, D + 1], [h, h + 1] ..., [C, h + 1]."""
        return [self.input[self._layout.units(row)], *self.upper.row(row)]

    def put(self, row: int, named: dict[str, Tensor]) -> None:
        """Take over the numbers of one student, named as in `Mlp.state_dict`."""
        for view, name in zip(self.row(row), layer_names(self._layout.depth), strict=True):
            view[:, :-1] = named[f"{name}.weight"]
            view[:, -1] = named[f"{name}.bias"]

    def take(self, row: int) -> dict[str, Tensor]:
        """A copy of one student's numbers, named as in `Mlp.state_dict`."""
        named: dict[str, Tensor] = {}
        for view, name in zip(self.row(row), layer_names(self._layout.depth), strict=True):
            named[f"{name}.weight"] = view[:, :-1].clone()
            named[f"{name}.bias"] = view[:, -1].clone()
        return named


class UpperStack:
    """One number for each weight after the first layer: weights, moments or gradients."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        sizes = [(g.rows.stop - g.rows.start, g.width + 1) for g in layout.groups]
        self.hidden = [
            [torch.zeros(p, u, u, device=device) for p, u in sizes]
            for _ in range(layout.depth - 1)
        ]
        """By layer and group: [P_g, h + 1, h + 1]."""
        self.readout = [torch.zeros(p, layout.num_classes, u, device=device) for p, u in sizes]
        """By group: [P_g, C, h + 1]."""

    def row(self, row: int) -> list[Tensor]:
        """A student's weights: contiguous views [h, h + 1] ..., [C, h + 1]."""
        group, place = self._layout.find(row)
        index = self._layout.groups.index(group)
        hidden = [layer[index][place, : group.width] for layer in self.hidden]
        return [*hidden, self.readout[index][place]]


def layer_names(depth: int) -> list[str]:
    """Names of an `Mlp`'s layers in order."""
    return [*(f"hidden.{index}" for index in range(depth)), "readout"]


class Pass:
    """Forward and backward through a stack for batches of one size, in buffers made once."""

    def __init__(self, layout: Layout, weights: MlpStack, batch_size: int) -> None:
        self._layout, self._weights = layout, weights
        device = weights.input.device
        shape = (layout.num_units, batch_size)
        self._active = [torch.empty(shape, device=device) for _ in range(layout.depth)]
        self._slopes = [torch.empty(shape, device=device) for _ in range(min(layout.depth, 2))]
        self.logits = torch.empty(layout.num_rows, layout.num_classes, batch_size, device=device)
        """[P, C, B]."""
        self._inputs = [
            (weights.input[block.units], self._active[0][block.units]) for block in layout.blocks
        ]
        self._active_by_group = [self._by_group(active) for active in self._active]
        self._slopes_by_group = [self._by_group(slope) for slope in self._slopes]
        self._logits_by_group = [self.logits[group.rows] for group in layout.groups]

    def forward(self, batches: Sequence[Tensor]) -> Tensor:
        """Logits [P, C, B], in a buffer that later calls use again.

        Args:
            batches: For each block, [B, D + 1], whose last column is 1.
        """
        for (weight, active), x in zip(self._inputs, batches, strict=True):
            torch.mm(weight, x.t(), out=active)
        self._active[0].relu_()
        upper = self._weights.upper
        for index, layer in enumerate(upper.hidden):
            before, after = self._active_by_group[index], self._active_by_group[index + 1]
            for weight, a, b in zip(layer, before, after, strict=True):
                torch.bmm(weight, a, out=b)
            self._active[index + 1].relu_()
        for weight, a, z in zip(
            upper.readout, self._active_by_group[-1], self._logits_by_group, strict=True
        ):
            torch.bmm(weight, a, out=z)
        return self.logits

    def backward(self, slope: Tensor, grads: UpperStack) -> Tensor:
        """D loss / d first layer's outputs [U, B], in a buffer; fills `grads` on the way.

        Args:
            slope: D loss / d logits [P, C, B].
            grads: Overwritten with the gradients of the layers after the first.
        """
        upper, down = self._weights.upper, 0
        for group, weight, grad, a, d in zip(
            self._layout.groups,
            upper.readout,
            grads.readout,
            self._active_by_group[-1],
            self._slopes_by_group[down],
            strict=True,
        ):
            torch.bmm(slope[group.rows], a.transpose(1, 2), out=grad)
            torch.bmm(weight.transpose(1, 2), slope[group.rows], out=d)
        for index in reversed(range(len(upper.hidden))):
            self._mask(self._slopes[down], self._active[index + 1])
            for weight, grad, a, d, below in zip(
                upper.hidden[index],
                grads.hidden[index],
                self._active_by_group[index],
                self._slopes_by_group[down],
                self._slopes_by_group[1 - down],
                strict=True,
            ):
                torch.bmm(d, a.transpose(1, 2), out=grad)
                torch.bmm(weight.transpose(1, 2), d, out=below)
            down = 1 - down
        self._mask(self._slopes[down], self._active[0])
        return self._slopes[down]

    @staticmethod
    def _mask(slope: Tensor, active: Tensor) -> None:
        torch.ops.aten.threshold_backward.grad_input(slope, active, 0, grad_input=slope)

    def _by_group(self, units: Tensor) -> list[Tensor]:
        return [
            units[group.units].view(-1, group.width + 1, units.shape[1])
            for group in self._layout.groups
        ]
