"""Any loss of P students and its slope at their logits, by autograd.

A loss without a closed form is asked student by student: between the common forward and backward
passes of the stack that costs little, and each student gets to the bit what it gets alone.
P students, B batch, N samples, C classes.
"""

import torch
from torch import Tensor

from kdsearch.training.vmap.stack_loss import EVERY_STUDENT, StackLoss


class AutogradLoss(StackLoss):
    """Any loss, by autograd."""

    is_replayable = False
    """Rows are looked up within a step, and a user's loss may wait for the device."""

    def _tabulate(self) -> None:
        """Nothing: rows are looked up as they are."""

    def room(self, batch_size: int) -> Tensor:
        """A buffer for the positions of a batch, [P, B]."""
        return self.total.new_empty(len(self._teach), batch_size, dtype=torch.int64)

    def look_up(self, batch: Tensor, labels: Tensor, targets: Tensor) -> None:
        """See `StackLoss`; targets are the positions [P, B]."""
        labels.copy_(self._labels[batch])
        targets.copy_(batch)

    def slope(
        self, logits: Tensor, labels: Tensor, targets: Tensor, rows: slice = EVERY_STUDENT
    ) -> Tensor:
        """See `StackLoss`."""
        slope = torch.empty_like(logits)
        places = range(len(self._teach))[rows]
        for row, mine, out in zip(places, logits, slope, strict=True):
            alone = mine.t().contiguous().requires_grad_()
            known = self._known[row].rows
            prepared = None if known is None else known[targets[row]]
            with torch.enable_grad():
                loss = self._losses[row].batch_loss(alone, prepared, labels[row])
                (grad,) = torch.autograd.grad(loss, alone)
            out.copy_(grad.t())
            self.total[row] += loss.detach() * len(alone)
        return slope
