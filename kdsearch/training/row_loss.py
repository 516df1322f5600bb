"""Loss of P students and its slope at their logits [P, B, C], in closed form.

`kdsearch.training.population_loss` gives the formula. P students, B batch, N samples, C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdsearch.config import DistillationConfig
from kdsearch.training.data import TrainingData
from kdsearch.training.loop import soft_targets


class Targets(NamedTuple):
    """What teachers say to one student about one view of the data."""

    view: TrainingData
    probs: Tensor | None
    """[N, C]; None for a student that nobody teaches."""


class RowLoss:
    """Losses are summed on the device and read once an epoch."""

    def __init__(self, teach: Sequence[DistillationConfig], like: Tensor) -> None:
        """Nothing is made ready yet.

        Args:
            teach: How each student is taught.
            like: A tensor of the type and on the device of the logits to come.
        """
        self._teach = tuple(teach)
        numbers = [[t.alpha, 1.0 if t.alpha == 1 else t.temperature] for t in teach]
        alpha, heat = like.new_tensor(numbers).T
        self._alpha, self._heat = alpha.view(-1, 1, 1), heat.view(-1, 1, 1)
        self.is_taught = any(t.alpha < 1 for t in teach)
        self.total = like.new_zeros(len(teach), dtype=torch.float64)
        """Sums of the losses of all samples since it was set to zero, [P]."""
        self._rows = torch.arange(len(teach), device=like.device).unsqueeze(1)
        self._known: list[Targets] = []
        self._probs: Tensor | None = None
        """[P, N, C]; zero, with a weight of zero, for a student that nobody teaches."""
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
        if self._known and all(t.view is view for t, view in zip(self._known, views, strict=True)):
            return list(self._known)
        self._known = [
            old if old is not None and old.view is view else Targets(view, soft_targets(view, t))
            for view, old, t in zip(views, known, self._teach, strict=True)
        ]
        self._labels = views[0].train_y
        probs = [t.probs for t in self._known]
        some = next((p for p in probs if p is not None), None)
        if some is not None:
            self._probs = torch.stack([torch.zeros_like(some) if p is None else p for p in probs])
            # Views, so that nothing is kept twice.
            self._known = [
                t if t.probs is None else t._replace(probs=mine)
                for t, mine in zip(self._known, self._probs, strict=True)
            ]
        return list(self._known)

    def room(self, batch_size: int) -> Tensor:
        """A buffer for the targets of a batch, [P, B, C]; empty if nobody is taught."""
        if self._probs is None:
            return self.total.new_empty(0)
        return self._probs.new_empty(len(self._teach), batch_size, self._probs.shape[2])

    def look_up(self, batch: Tensor, labels: Tensor, targets: Tensor) -> None:
        """Fill in the labels [P, B] and targets [P, B, C] of a batch.

        Args:
            batch: Sample positions, [1, B] or [P, B].
            labels: Overwritten.
            targets: Overwritten, if anybody is taught.
        """
        labels.copy_(self._labels[batch])
        if self._probs is not None:
            targets.copy_(self._probs[self._rows, batch])

    def slope(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """D mean loss / d logits [P, B, C]; adds the losses to `total`.

        Args:
            logits: [P, B, C], without gradient.
            labels: [P, B].
            targets: [P, B, C].
        """
        alpha, heat = self._alpha, self._heat
        places = labels.unsqueeze(2)
        log_probs = logits.log_softmax(dim=2)
        losses = -alpha * log_probs.gather(2, places)
        slope = log_probs.exp().mul_(alpha)
        slope.scatter_add_(2, places, -alpha.expand(places.shape))
        if self.is_taught:
            log_probs = (logits / heat).log_softmax(dim=2)
            divergence = torch.special.xlogy(targets, targets) - targets * log_probs
            losses += (1 - alpha) * heat**2 * divergence.sum(dim=2, keepdim=True)
            slope += log_probs.exp_().sub_(targets).mul_((1 - alpha) * heat)
        self.total += losses.sum(dim=(1, 2))
        return slope.div_(logits.shape[1])
