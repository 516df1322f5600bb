"""Forward and backward of a few conv1d students, written out.

Maps are laid out [p, width, length, B], the batch innermost: the columns of a convolution are a
few copies of long runs, and the channels of all students are the rows of one batch norm.

p students, B batch, C classes, M trained numbers of a student, w width, L length of a map,
k kernel.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

aten = torch.ops.aten


class Norm(NamedTuple):
    """A batch norm of some students."""

    scale: Tensor
    """[p, w]."""
    shift: Tensor
    """[p, w]."""
    mean: Tensor
    """Running, [p * w]."""
    var: Tensor
    """Running and unbiased, [p * w]."""
    momentum: float
    eps: float


class Group(NamedTuple):
    """Neighbours that go through a step together; lists are by block, all tensors views."""

    rows: slice
    kernels: list[Tensor]
    """[p, w, channels * k]."""
    norms: list[Norm]
    readout: Tensor
    """[p, C, w * L]."""
    bias: Tensor
    """[p, C, 1]."""


class Block:
    """One convolution with its batch norm, for batches of one size, in buffers made once."""

    def __init__(self, source: Tensor, kernel: int, shape: tuple[int, int, int]) -> None:
        """Make room.

        Args:
            source: What is read, [p or 1, channels, L, B].
            kernel: Its width, k.
            shape: [p, w, values], of which there are (L + 1) / 2 * B.
        """
        students, channels, length, batch = source.shape
        size, width, values = self._shape = shape
        columns = source.new_zeros(students, channels, kernel, halved(length), batch)
        self._columns = columns.view(students, channels * kernel, values)
        self._unfold = [
            (columns[:, :, tap, ours], source[:, :, theirs])
            for tap, ours, theirs in taps(kernel, length)
        ]
        self.active = source.new_empty(size, width, halved(length), batch)
        """Its output, [p, w, (L + 1) / 2, B]."""
        self._active = self.active.view(1, size * width, values)
        self._sums = self._active
        self._scale, self._shift = source.new_empty(2, size * width)
        self._unused = source.new_empty(0)

    def keep_sums(self) -> None:
        """Leave what the batch norm reads for the backward pass."""
        self._sums = torch.empty_like(self._active)

    def convolve(self, kernels: Tensor) -> Tensor:
        """Sums [p * w, values] of the columns, [p, w, channels * k] each a student's kernels."""
        for place, values in self._unfold:
            place.copy_(values)
        sums = self._sums.view(self._shape)
        if len(self._columns) == 1:
            torch.mm(kernels.flatten(0, 1), self._columns[0], out=sums.flatten(0, 1))
        else:
            torch.bmm(kernels, self._columns, out=sums)
        return self._sums[0]

    def activate(self, norm: Norm, means: Tensor, variances: Tensor) -> None:
        """Normalise the sums by these statistics [p * w], and fill `active`."""
        size, width, _ = self._shape
        self._scale.view(size, width).copy_(norm.scale)
        self._shift.view(size, width).copy_(norm.shift)
        aten.native_batch_norm.out(
            self._sums,
            self._scale,
            self._shift,
            means,
            variances,
            False,
            0.0,
            norm.eps,
            out=self._active,
            save_mean=self._unused,
            save_invstd=self._unused,
        )
        self._active.relu_()

    def backward(self, down: Tensor, means: Tensor, rates: Tensor) -> tuple[Tensor, list[Tensor]]:
        """D loss / d sums [p, w, values], and the gradients of kernels, scales and shifts.

        Args:
            down: D loss / d `active`, laid out alike; overwritten.
            means: Of the sums, [p * w].
            rates: One over their deviations, [p * w].
        """
        down = down.view_as(self._active)
        aten.threshold_backward.grad_input(down, self._active, 0, grad_input=down)
        slopes, scale, shift = aten.native_batch_norm_backward(
            down, self._sums, self._scale, None, None, means, rates, True, 0.0, [True] * 3
        )
        slopes = slopes.view(self._shape)
        if len(self._columns) == 1:
            kernels = torch.mm(slopes.flatten(0, 1), self._columns[0].t())
        else:
            kernels = torch.bmm(slopes, self._columns.transpose(1, 2))
        return slopes, [t.view(self._shape[0], -1) for t in (kernels, scale, shift)]


class Fold:
    """The way back through the columns of a convolution with three taps."""

    def __init__(self, columns: Tensor, down: Tensor) -> None:
        """Use this room.

        Args:
            columns: For the slopes at the columns, [p, channels, 3, (L + 1) / 2, B].
            down: For the slopes at what the convolution reads, [p, channels, L, B].
        """
        self._matrix = columns.flatten(3).flatten(1, 2)
        self._down = down
        places = {
            tap: (down[:, :, theirs], columns[:, :, tap, ours])
            for tap, ours, theirs in taps(3, down.shape[2])
        }
        self._again = places.pop(0, None)
        self._once = list(places.values())

    def __call__(self, kernels: Tensor, slopes: Tensor) -> Tensor:
        """D loss / d what was read, in a buffer.

        Args:
            kernels: [p, w, channels * 3].
            slopes: At the convolution's sums, [p, w, values].
        """
        torch.bmm(kernels.transpose(1, 2), slopes, out=self._matrix)
        # At stride 2 the last two taps write every place once; the first meets the last again.
        for place, values in self._once:
            place.copy_(values)
        if self._again is not None:
            place, values = self._again
            place.add_(values)
        return self._down


class Pass:
    """Forward and backward of p students for batches of one size."""

    def __init__(
        self,
        x: Tensor,
        *,
        size: int,
        width: int,
        depth: int,
        num_classes: int,
        shared: bool,
        training: bool,
    ) -> None:
        """Make room.

        Args:
            x: Samples [B, channels, L].
            size: Students, p.
            width: Channels of a map, w.
            depth: Blocks.
            num_classes: C.
            shared: Whether all read the same batch.
            training: Whether batch norms read the batch, and a backward pass follows.
        """
        self._training = training
        batch_size, channels, length = x.shape
        self._signals = x.new_empty(1 if shared else size, channels, length, batch_size)
        self._blocks: list[Block] = []
        self._counts: list[int] = []
        source = self._signals
        for index in range(depth):
            self._counts.append(halved(source.shape[2]) * batch_size)
            shape = (size, width, self._counts[-1])
            self._blocks.append(Block(source, 3 if index else 5, shape))
            source = self._blocks[-1].active
        self._features = source.flatten(1, 2)
        self._logits = x.new_empty(size, num_classes, batch_size)
        if training:
            self._prepare_backward()

    def read(self, x: Tensor) -> None:
        """Take in a batch [1, B, ...] that is shared, or one each [p, B, ...]."""
        self._signals.copy_(x.view(*x.shape[:2], *self._signals.shape[1:3]).permute(0, 2, 3, 1))

    def forward(self, group: Group) -> Tensor:
        """Logits [p, C, B], in a buffer; in training, running statistics move."""
        for index, (block, norm) in enumerate(zip(self._blocks, group.norms, strict=True)):
            sums = block.convolve(group.kernels[index])
            if self._training:
                block.activate(norm, self._zeros, self._center(sums, index))
            else:
                block.activate(norm, norm.mean, norm.var)
        if self._training:
            self._move_statistics(group)
        return torch.baddbmm(group.bias, group.readout, self._features, out=self._logits)

    def backward(self, group: Group, slope: Tensor, grads: Tensor) -> None:
        """Fill `grads` [p, M], laid out as `flat`.

        Args:
            group: That `forward` was called with.
            slope: D loss / d logits, [p, C, B].
            grads: Overwritten.
        """
        readout = torch.bmm(slope, self._features.transpose(1, 2))
        parts = [readout.flatten(1), slope.sum(dim=2)]
        down = torch.bmm(group.readout.transpose(1, 2), slope, out=self._top)
        rates = torch.rsqrt(self._vars + group.norms[0].eps)
        for index in reversed(range(len(self._blocks))):
            slopes, its = self._blocks[index].backward(down, self._zeros, rates[index])
            parts = its + parts
            if index > 0:
                down = self._folds[index - 1](group.kernels[index], slopes)
        torch.cat(parts, dim=1, out=grads)

    def _center(self, sums: Tensor, index: int) -> Tensor:
        """Subtract the means of sums [p * w, values] in place; returns the variances."""
        mean, var = self._means[index], self._vars[index]
        torch.mean(sums, dim=1, out=mean)
        sums.sub_(mean.unsqueeze(1))
        # A norm would add up millions of squares one by one; a sum does it in parts.
        squares = torch.mul(sums, sums, out=self._blocks[index].active.view_as(sums))
        return torch.mean(squares, dim=1, out=var)

    def _move_statistics(self, group: Group) -> None:
        unbiased = self._vars * self._bessel
        for norm, mean, var in zip(group.norms, self._means, unbiased, strict=True):
            norm.mean.lerp_(mean, norm.momentum)
            norm.var.lerp_(var, norm.momentum)

    def _prepare_backward(self) -> None:
        if self._counts[-1] == 1:
            raise ValueError(
                "batch norm needs more than one value a channel in training, and the last map "
                "has length 1 and the batch 1 sample"
            )
        maps = [block.active for block in self._blocks]
        self._top, self._folds = self._room_for_slopes(maps)
        for block in self._blocks:
            block.keep_sums()
        one = maps[0]
        channels = one.shape[0] * one.shape[1]
        self._means, self._vars = one.new_zeros(2, len(maps), channels)
        self._zeros = one.new_zeros(channels)
        self._bessel = one.new_tensor([[n / (n - 1)] for n in self._counts])

    @staticmethod
    def _room_for_slopes(maps: Sequence[Tensor]) -> tuple[Tensor, list[Fold]]:
        """The slopes at the features [p, w * L, B], and the folds of all blocks but the first."""
        one = maps[0]
        columns = [(*m.shape[:2], 3, *n.shape[2:]) for m, n in itertools.pairwise(maps)]
        largest = max((math.prod(shape) for shape in columns), default=0)
        wide, narrow = one.new_empty(largest), one.new_empty(one.numel())
        folds = [
            Fold(wide[: math.prod(shape)].view(shape), narrow[: m.numel()].view(m.shape))
            for shape, m in zip(columns, maps[:-1], strict=True)
        ]
        return narrow[: maps[-1].numel()].view_as(maps[-1]).flatten(1, 2), folds


def taps(kernel: int, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Each tap of a kernel at stride 2, the outputs it adds to, and the inputs it reads."""
    for tap in range(kernel):
        offset = tap - kernel // 2
        first = max(0, (1 - offset) // 2)
        last = min(halved(length), (length - 1 - offset) // 2 + 1)
        if first < last:
            yield tap, slice(first, last), slice(2 * first + offset, 2 * last - 1 + offset, 2)


def halved(length: int) -> int:
    """The length of a map that stride 2 makes of another."""
    return (length + 1) // 2
