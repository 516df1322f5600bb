"""What the loss of P students in one step must give: a slope at their logits, and their losses.

P students, B batch, N samples, C classes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdsearch.config import DistillationConfig
from kdsearch.distill import build_loss, prepared_rows
from kdsearch.training.data import TrainingData

EVERY_STUDENT = slice(None)


class Targets(NamedTuple):
    """What one student's loss has prepared of what teachers say about one view of the data."""

    view: TrainingData
    rows: Tensor | None
    """[N, ...], of `kd` the softened probabilities [N, C]; None for a student that nobody
    teaches."""


class StackLoss(ABC):
    """Losses are summed on the device and read once an epoch."""

    is_replayable: bool
    """Whether a CUDA graph can hold a step: it reads and writes the same memory each time."""

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
        if not self._known or any(
            t.view is not view for t, view in zip(self._known, views, strict=True)
        ):
            self._known = [
                old
                if old is not None and old.view is view
                else Targets(view, prepared_rows(loss, teach, view.teacher_train))
                for view, old, loss, teach in zip(
                    views, known, self._losses, self._teach, strict=True
                )
            ]
            self._labels = views[0].train_y
            self._tabulate()
        return list(self._known)

    @abstractmethod
    def _tabulate(self) -> None:
        """Make ready what `look_up` reads; called when targets are new."""

    @abstractmethod
    def room(self, batch_size: int) -> Tensor:
        """A buffer for what `look_up` finds of a batch."""

    @abstractmethod
    def look_up(self, batch: Tensor, labels: Tensor, targets: Tensor) -> None:
        """Fill in the labels [P, B] and targets of a batch.

        Args:
            batch: Sample positions, [1, B] or [P, B].
            labels: Overwritten.
            targets: A buffer made by `room`; overwritten, if anybody is taught.
        """

    @abstractmethod
    def slope(
        self, logits: Tensor, labels: Tensor, targets: Tensor, rows: slice = EVERY_STUDENT
    ) -> Tensor:
        """D mean loss / d logits [p, C, B]; adds the losses to `total`.

        Args:
            logits: Of the students in `rows`, [p, C, B], without gradient.
            labels: Of all, [P, B].
            targets: Of all, as `look_up` filled them in.
            rows: p of the P.
        """
