"""The weights of many MLPs of different widths as a few tensors, without padding.

P students, B batch, D inputs, C classes, h width of a student, U = sum of (h + 1) units.

Students of one width form a group, so that layers after the first are one batched product a
group; the first layer of all students is one product, because they share the batch. Activations
are feature-major ([U, B]): a student's units are a contiguous block. Each student has one more
unit, which is constant 1, so that biases are a column of their weight matrix: no bias additions
and no bias gradients. The constant unit's own weights are fixed; its row is left out of `row`.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor


class Group(NamedTuple):
    """Neighbouring students of one width."""

    width: int
    rows: slice
    """Their positions in the population."""
    units: slice
    """Their rows on the unit axis, constant units included."""


class Layout(NamedTuple):
    """What a population looks like: everything but its numbers."""

    groups: tuple[Group, ...]
    depth: int
    """Hidden layers of every student."""
    fan_in: int
    num_classes: int

    @property
    def num_rows(self) -> int:
        """Students, P."""
        return self.groups[-1].rows.stop

    @property
    def num_units(self) -> int:
        """Units of a layer over all students, U."""
        return self.groups[-1].units.stop

    def find(self, row: int) -> tuple[int, int]:
        """Group index and position in the group of a student."""
        for index, group in enumerate(self.groups):
            if row < group.rows.stop:
                return index, row - group.rows.start
        raise IndexError(row)


def make_layout(widths: Sequence[int], *, depth: int, fan_in: int, num_classes: int) -> Layout:
    """The layout of students whose widths are in ascending order."""
    assert list(widths) == sorted(widths), "neighbours of one width are one group"
    groups: list[Group] = []
    rows = units = 0
    for width, members in groupby(widths):
        count = len(list(members))
        size = count * (width + 1)
        groups.append(Group(width, slice(rows, rows + count), slice(units, units + size)))
        rows, units = rows + count, units + size
    return Layout(tuple(groups), depth, fan_in, num_classes)


class MlpStack:
    """One number for each weight of a population: its weights, gradients or moments."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self._layout = layout
        self.input = torch.zeros(layout.num_units, layout.fan_in + 1, device=device)
        """[U, D + 1]."""
        self.hidden: list[list[Tensor]] = []
        """By layer and group: [P_g, h + 1, h + 1]."""
        self.readout: list[Tensor] = []
        """By group: [P_g, C, h + 1]."""
        sizes = [(g.rows.stop - g.rows.start, g.width + 1) for g in layout.groups]
        for _ in range(layout.depth - 1):
            self.hidden.append([torch.zeros(p, u, u, device=device) for p, u in sizes])
        self.readout = [torch.zeros(p, layout.num_classes, u, device=device) for p, u in sizes]

    def fix_constants(self) -> None:
        """Give the constant units the weights that keep them 1."""
        for index, group in enumerate(self._layout.groups):
            units = self.input[group.units].view(-1, group.width + 1, self.input.shape[1])
            units[:, -1, :] = 0
            units[:, -1, -1] = 1
            for layer in self.hidden:
                layer[index][:, -1, :] = 0
                layer[index][:, -1, -1] = 1

    def row(self, row: int) -> list[Tensor]:
        """A student's weights: contiguous views [h, D + 1], [h, h + 1] ..., [C, h + 1]."""
        index, place = self._layout.find(row)
        group = self._layout.groups[index]
        start = group.units.start + place * (group.width + 1)
        views = [self.input[start : start + group.width]]
        views += [layer[index][place, : group.width] for layer in self.hidden]
        return [*views, self.readout[index][place]]

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


def layer_names(depth: int) -> list[str]:
    """Names of an `Mlp`'s layers in order."""
    return [*(f"hidden.{index}" for index in range(depth)), "readout"]


class Pass:
    """Forward and backward through a stack for batches of one size, in buffers made once."""

    def __init__(self, layout: Layout, batch_size: int, device: torch.device) -> None:
        self._layout = layout
        shape = (layout.num_units, batch_size)
        self._active = [torch.empty(shape, device=device) for _ in range(layout.depth)]
        self._slope = torch.empty(shape, device=device)
        self.logits = torch.empty(layout.num_rows, layout.num_classes, batch_size, device=device)
        """[P, C, B]."""

    def forward(self, weights: MlpStack, x: Tensor) -> Tensor:
        """Logits [P, C, B] of a batch [B, D + 1] whose last column is 1; reused by later calls."""
        torch.mm(weights.input, x.t(), out=self._active[0]).relu_()
        for layer, before, after in zip(
            weights.hidden, self._active, self._active[1:], strict=False
        ):
            for weight, a, b in zip(layer, self._blocks(before), self._blocks(after), strict=True):
                torch.bmm(weight, a, out=b)
            after.relu_()
        for group, weight, a in self._groups(weights.readout, self._active[-1]):
            torch.bmm(weight, a, out=self.logits[group.rows])
        return self.logits

    def backward(self, weights: MlpStack, grads: MlpStack, x: Tensor, slope: Tensor) -> None:
        """Write into `grads` the gradients for d loss / d logits `slope` [P, C, B]."""
        down = self._slope
        for (group, weight, a), grad, d in zip(
            self._groups(weights.readout, self._active[-1]),
            grads.readout,
            self._blocks(down),
            strict=True,
        ):
            torch.bmm(slope[group.rows], a.transpose(1, 2), out=grad)
            torch.bmm(weight.transpose(1, 2), slope[group.rows], out=d)
        for index in reversed(range(len(weights.hidden))):
            self._mask(down, self._active[index + 1])
            below = torch.empty_like(down)
            for weight, grad, a, d, e in zip(
                weights.hidden[index],
                grads.hidden[index],
                self._blocks(self._active[index]),
                self._blocks(down),
                self._blocks(below),
                strict=True,
            ):
                torch.bmm(d, a.transpose(1, 2), out=grad)
                torch.bmm(weight.transpose(1, 2), d, out=e)
            down = below
        self._mask(down, self._active[0])
        torch.mm(down, x, out=grads.input)

    @staticmethod
    def _mask(slope: Tensor, active: Tensor) -> None:
        torch.ops.aten.threshold_backward.grad_input(slope, active, 0, grad_input=slope)

    def _blocks(self, units: Tensor) -> list[Tensor]:
        return [
            units[group.units].view(-1, group.width + 1, units.shape[1])
            for group in self._layout.groups
        ]

    def _groups(self, weights: list[Tensor], units: Tensor) -> list[tuple[Group, Tensor, Tensor]]:
        return list(zip(self._layout.groups, weights, self._blocks(units), strict=True))
