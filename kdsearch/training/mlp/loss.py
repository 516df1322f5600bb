"""Loss of many students and its slope at their logits, in closed form.

P students, B batch, N samples, K teachers, C classes.

The gradient of the distillation loss for logits z, temperature T and label y:

    d loss / dz = [alpha * (softmax(z) - onehot(y)) + (1 - alpha) * T * (softmax(z/T) - q)] / B

where q are the ensemble's softened probabilities. The parts that do not depend on z are fixed for
a sample and a student: they are made once for all epochs and looked up by batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kdsearch.config import KdDistillation
from kdsearch.distill import teacher_signals
from kdsearch.training.data import TrainingData
from kdsearch.training.mlp.stack import Block, Layout


class Lesson(NamedTuple):
    """What one student is to learn from one view of the data."""

    view: TrainingData
    fixed: Tensor
    """alpha * onehot(y) + (1 - alpha) * T * q, [N, C]."""
    entropy: Tensor
    """(1 - alpha) * T^2 * sum q log q over all samples: what makes the loss a KL divergence."""


class PopulationLoss:
    """Loss and slope of all students; losses are summed on the device and read once an epoch."""

    def __init__(
        self,
        teach: Sequence[KdDistillation],
        layout: Layout,
        device: torch.device,
        known: Sequence[Lesson | None],
    ) -> None:
        """Nothing is made ready yet.

        Args:
            teach: How each student is taught.
            layout: Of the population.
            device: Where it is.
            known: For each student a lesson made before, maybe of another view, or None.
        """
        self._teach, self._layout, self._device = tuple(teach), layout, device
        hard, heat = torch.tensor([[t.alpha, t.temperature] for t in teach], device=device).T
        self._hard = hard.view(-1, 1, 1)
        """Weight of softmax(z), [P, 1, 1]."""
        self._soft = ((1 - hard) * heat).view(-1, 1, 1)
        """Weight of softmax(z / T)."""
        self._soft_scale = (1 - hard) * heat**2
        self._cooling = (1 / heat).view(-1, 1, 1)
        self._is_taught = any(t.needs_teacher for t in teach)
        self.lessons: Sequence[Lesson | None] = known
        """Of each student; all there once `show` was called."""
        self._tables: list[Tensor] = []
        """By block: its students' `Lesson.fixed` [N, P_b, C]."""
        self._sums: tuple[Tensor, ...] = ()

    def show(self, views: Sequence[TrainingData]) -> bool:
        """Prepare what does not depend on logits, for each block's view of the data.

        Returns:
            Whether there was anything to do: not while the views stay the same objects.
        """
        if self._tables and all(
            lesson is not None and lesson.view is view
            for view, block in zip(views, self._layout.blocks, strict=True)
            for lesson in self.lessons[block.rows]
        ):
            return False
        teachers = Teachers()
        made = [
            self._prepare(block, view, teachers)
            for view, block in zip(views, self._layout.blocks, strict=True)
        ]
        self._tables = [table for table, _ in made]
        self.lessons = [lesson for _, lessons in made for lesson in lessons]
        return True

    def _prepare(
        self, block: Block, view: TrainingData, teachers: "Teachers"
    ) -> tuple[Tensor, list[Lesson]]:
        known, teach = self.lessons[block.rows], self._teach[block.rows]
        classes = self._layout.num_classes
        table = torch.empty(len(view.train_y), len(teach), classes, device=self._device)
        one_hot = class_columns(view.train_y, classes)
        lessons: list[Lesson] = []
        for place, (old, config) in enumerate(zip(known, teach, strict=True)):
            fixed = table[:, place]
            if old is not None and old.view is view:
                fixed.copy_(old.fixed)
                entropy = old.entropy
            else:
                columns, entropy = teachers.lesson(config, view, one_hot)
                fixed.copy_(columns.t())
            lessons.append(Lesson(view, fixed, entropy))
        return table, lessons

    def forget(self) -> None:
        """Drop what `show` has prepared."""
        self._tables, self.lessons = [], [None] * len(self._teach)

    def begin(self, batch_size: int) -> None:
        """Set the sums of losses to zero, for batches of at most `batch_size`."""
        shape = (self._layout.num_rows, self._layout.num_classes, batch_size)
        if not self._sums or self._sums[0].shape != shape:
            flat = (shape[0], batch_size)
            self._sums = tuple(torch.zeros(s, device=self._device) for s in (shape, flat, flat))
        for total in self._sums:
            total.zero_()

    def slope(self, logits: Tensor, batches: Sequence[Tensor], fixed: Tensor) -> Tensor:
        """D mean loss / d logits [P, C, B]; adds the losses to the epoch's sums.

        Few operations on purpose: between large products each one costs more than
        its arithmetic, because its code and its data have left the cache.

        Args:
            logits: [P, C, B]; overwritten.
            batches: For each block, sample positions [B].
            fixed: A buffer [P, C, B]; overwritten.
        """
        size = logits.shape[2]
        products, hot_sum, cool_sum = (total[..., :size] for total in self._sums)
        for table, batch, block in zip(self._tables, batches, self._layout.blocks, strict=True):
            fixed[block.rows].copy_(table.index_select(0, batch).permute(1, 2, 0))
        hot = logits.log_softmax(dim=1)
        products.addcmul_(fixed, hot)
        if not self._is_taught:
            return hot.exp_().mul_(self._hard).sub_(fixed).div_(size)
        cool = logits.mul_(self._cooling).log_softmax(dim=1)
        hot_sum.add_(hot[:, 0])
        cool_sum.add_(cool[:, 0])
        slope = hot.exp_().mul_(self._hard).addcmul_(cool.exp_(), self._soft)
        return slope.sub_(fixed).div_(size)

    def end(self) -> Tensor:
        """Mean loss of each student over an epoch that saw every sample once: [P], float64.

        With p = softmax(z), q' = softmax(z / T) and f the fixed part, the loss of a sample is
        (1 - alpha) T^2 (log p_c / T - log q'_c + sum q log q) - sum f log p, whatever the class
        c: the first difference is the logarithms of the two normalisers'.
        """
        products, hot, cool = (x.double().flatten(1).sum(dim=1) for x in self._sums)
        total = -products
        if self._is_taught:
            total += self._soft_scale * (hot * self._cooling.flatten() - cool)
            total += torch.stack([lesson.entropy for lesson in self.lessons if lesson])
        return total / len(self._tables[0])


class Teachers:
    """Softened probabilities for some students; those that share an ensemble share its mean."""

    def __init__(self) -> None:
        self._means: dict[tuple[int, int | None], Tensor] = {}

    def lesson(
        self, teach: KdDistillation, view: TrainingData, one_hot: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`Lesson.fixed`, but [C, N], and `Lesson.entropy`.

        Raises:
            ValueError: A teacher is needed and nobody teaches.
        """
        alpha, heat = teach.alpha, teach.temperature
        if not teach.needs_teacher:
            return one_hot, one_hot.new_zeros((), dtype=torch.float64)
        log_q = (self._logits(teach, view) / heat).log_softmax(dim=0)
        q = log_q.exp()
        entropy = (1 - alpha) * heat**2 * torch.sum(log_q.mul_(q), dtype=torch.float64)
        return q.mul_((1 - alpha) * heat).add_(one_hot, alpha=alpha), entropy

    def _logits(self, teach: KdDistillation, view: TrainingData) -> Tensor:
        """[C, N]: a softmax over the first of two dimensions is 20 times as fast on a CPU."""
        signals = teacher_signals(teach, view.teacher_train)
        key = (id(view.teacher_train), signals.ensemble_size)
        if signals.ensemble_mode == "logit_mean" and key in self._means:
            return self._means[key]
        logits = signals.logits(teach.temperature).t().contiguous()
        if signals.ensemble_mode == "logit_mean":
            self._means[key] = logits
        return logits


def class_columns(labels: Tensor, num_classes: int) -> Tensor:
    """One-hot labels [C, N] of labels [N]."""
    return (labels == torch.arange(num_classes, device=labels.device).unsqueeze(1)).float()
