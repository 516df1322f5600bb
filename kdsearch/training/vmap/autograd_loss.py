"""Any loss of P students and its slope at their logits, by autograd.

A loss without a closed form is asked student by student: between the common forward and backward
passes of the stack that costs little, and each student gets to the bit what it gets alone.
P students, B batch, N samples, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdsearch.config import DistillationConfig
from kdsearch.distill import build_loss, prepared_rows
from kdsearch.training.data import TrainingData
from kdsearch.training.vmap.row_loss import EVERY_ROW, Targets


class AutogradLoss:
    """In place of `RowLoss`, whose methods it has."""

    is_replayable = False
    """Rows are looked up within a step, and a user's loss may wait for the device."""

    def __init__(self, teach: Sequence[DistillationConfig], like: Tensor) -> None:
        """Nothing is made ready yet.

        Args:
            teach: How each student is taught.
            like: A tensor of the type and on the device of the logits to come.
        """
        self._teach = tuple(teach)
        self._losses = [build_loss(one) for one in teach]
        self.total = like.new_zeros(len(teach), dtype=torch.float64)
        """Sums of the losses of all samples since it was set to zero, [P]."""
        self._known: list[Targets] = []
        self._labels = torch.empty(0)

    def show(
        self, views: Sequence[TrainingData], known: Sequence[Targets | None]
    ) -> list[Targets | None]:
        """Prepare what does not depend on logits, for each student's view of the data.

        Args:
            views: By student.
            known: Targets by student made before, maybe of another view, or None.

        Returns:
            Targets of these views.
        """
        self._known = [
            old
            if old is not None and old.view is view
            else Targets(view, prepared_rows(loss, teach, view.teacher_train))
            for view, old, loss, teach in zip(views, known, self._losses, self._teach, strict=True)
        ]
        self._labels = views[0].train_y
        return list(self._known)

    def room(self, batch_size: int) -> Tensor:
        """A buffer for the positions of a batch, [P, B]."""
        return self.total.new_empty(len(self._teach), batch_size, dtype=torch.int64)

    def look_up(self, batch: Tensor, labels: Tensor, targets: Tensor) -> None:
        """Fill in the labels and the positions [P, B] of a batch.

        Args:
            batch: Sample positions, [1, B] or [P, B].
            labels: Overwritten.
            targets: Overwritten.
        """
        labels.copy_(self._labels[batch])
        targets.copy_(batch)

    def slope(
        self, logits: Tensor, labels: Tensor, targets: Tensor, rows: slice = EVERY_ROW
    ) -> Tensor:
        """D mean loss / d logits [p, C, B]; adds the losses to `total`.

        Args:
            logits: Of the students in `rows`, [p, C, B], without gradient.
            labels: Of all, [P, B].
            targets: Of all, as `look_up` filled them in.
            rows: p of the P.
        """
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
