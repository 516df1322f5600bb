"""Modules of one architecture and one width as one module, by torch.func.

P students, B batch, C classes, M trained numbers of a student.

Trained weights are one row [M] a student, so that an optimizer steps all of them in a handful of
element-wise operations, whatever the architecture.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

Slope = Callable[[Tensor, slice], Tensor]
"""D loss / d logits [p, C, B], of the logits [p, C, B] of the students in these rows."""


class ModuleStack:
    """The weights and buffers of P modules, and their common forward pass."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Take over the modules' numbers; the modules themselves are not touched again.

        Args:
            models: Equal but for their numbers, on one device.
        """
        self.base = copy.deepcopy(models[0])
        """What is called with the numbers of each."""
        trained = {n: p for n, p in self.base.named_parameters() if p.requires_grad}
        self._shapes = {name: p.shape for name, p in trained.items()}
        self._sizes = [p.numel() for p in trained.values()]
        self._saved = tuple(self.base.state_dict())
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

    def gradients(self, x: Tensor, slope: Slope, *, shared: bool) -> Tensor:
        """D loss / d `flat` [P, M] of a batch, in train mode: buffers move.

        Args:
            x: [B, ...] if `shared`, else each student's own [P, B, ...].
            slope: Called once for each row, whether with all rows or with some at a time.
            shared: Whether all read the same batch.
        """
        self.base.train()
        logits = self._forward(x, shared=shared)
        upward = slope(classes_first(logits.detach()), slice(0, len(self.flat)))
        (grads,) = torch.autograd.grad(logits, self.flat, upward.transpose(1, 2))
        return grads

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """Logits [P, C, B] of a batch [B, ...] that all read, in eval mode."""
        self.base.eval()
        return classes_first(self._forward(x, shared=True))

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

    def buffers(self, row: int) -> dict[str, Tensor]:
        """Views of what one student has besides trained weights, by name."""
        return {name: value[row] for name, value in self._others.items()}

    def _row(self, row: int) -> dict[str, Tensor]:
        return self.numbers(self.flat, row) | self.buffers(row)

    def _named(self, flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split(self._sizes, dim=1)
        return {
            name: part.view(len(flat), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def _forward(self, x: Tensor, *, shared: bool) -> Tensor:
        return vmap(self._call, in_dims=(0, None if shared else 0))(
            self._named(self.flat) | self._others, x
        )

    def _call(self, numbers: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self.base, numbers, (x,))


def classes_first(logits: Tensor) -> Tensor:
    """Logits [P, B, C] as [P, C, B]."""
    return logits.transpose(1, 2).contiguous()
