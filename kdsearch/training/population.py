"""Students in one step: what does not depend on how their weights are stacked.

P students, B batch, C classes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from kdsearch.config import DistillationConfig, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData
from kdsearch.training.evaluation import LogitsByStudent
from kdsearch.training.optimizer import schedule_factor
from kdsearch.training.progress import Progress

VAL_BATCH = 512

Body = TypeVar("Body", bound=nn.Module, covariant=True)
Lesson = TypeVar("Lesson")
"""What an engine has made ready of a student's teachers."""


class PopulationStudent(NamedTuple, Generic[Body]):
    """One student of a population."""

    model: Body
    """Its weights to begin with, as built from its seed; not changed."""
    training: TrainingConfig
    distillation: DistillationConfig
    progress: Progress
    order_seed: int
    """Decides its batches, with the epoch it is in."""


class Population(ABC, Generic[Body, Lesson]):
    """Students of one batch size and optimizer, each in an epoch of its own."""

    def __init__(self, students: Sequence[PopulationStudent[Body]], data: TrainingData) -> None:
        """Stack the students; `load_student` puts those in their place that have trained before.

        Args:
            students: Their `training` may differ in everything but batch size and optimizer.
            data: What all see, on the device to train on.
        """
        self._data = data
        self._stack_students(tuple(students), [None] * len(students))

    def regroup(self, students: Sequence[PopulationStudent[Body]]) -> None:
        """Go on with these students: some that are in, some that are new, in a new order.

        Those that stay keep their numbers, and their soft targets are not made again.
        """
        before = {student.progress: row for row, student in enumerate(self.students)}
        rows = [before.get(student.progress) for student in students]
        states = [None if row is None else self.student_state(row) for row in rows]
        lessons = self._lessons()
        self._stack_students(
            tuple(students), [None if row is None else lessons[row] for row in rows]
        )
        for row, state in enumerate(states):
            if state is not None:
                self.load_student(row, state)

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """Train all students together until the first one has done epoch `until`, or is finished.

        Yields, for each epoch, the metrics or the failure of each student by its row; a student
        that failed should leave (`regroup`) before going on.
        """
        while all(m.progress.epoch < until for m in self.students):
            yield self._validate(self._train_epoch())
            if any(m.progress.is_finished for m in self.students):
                return

    @abstractmethod
    def student_state(self, row: int) -> dict[str, Any]:
        """All that one student needs to go on exactly, alone or in any population."""

    @abstractmethod
    def load_student(self, row: int, state: dict[str, Any]) -> None:
        """Put a student in the place that `student_state` remembers."""

    @abstractmethod
    def _build(
        self, students: tuple[PopulationStudent[Body], ...], lessons: Sequence[Lesson | None]
    ) -> None:
        """Stack fresh students; `lessons` are those made before, by row."""

    @abstractmethod
    def _lessons(self) -> Sequence[Lesson | None]:
        """What has been made ready, by row."""

    @abstractmethod
    def _train_epoch(self) -> Tensor:
        """Train everybody's next epoch; gives mean training losses [P], float64."""

    @abstractmethod
    def _predict(self, samples: Tensor) -> Tensor:
        """Logits [P, C, B] of samples [B, ...]."""

    @abstractmethod
    def _surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sums of cross-entropies [P] of logits [P, C, B] for labels [B]."""

    @abstractmethod
    def _weights(self, row: int) -> dict[str, Tensor]:
        """A copy of a student's weights."""

    def _stack_students(
        self, students: tuple[PopulationStudent[Body], ...], lessons: Sequence[Lesson | None]
    ) -> None:
        self.students = students
        self._batch_size = min(students[0].training.batch_size, len(self._data.train_y))
        self._build(students, lessons)

    @torch.no_grad()
    def _validate(self, train_losses: Tensor) -> dict[int, EpochMetrics | DivergedError]:
        data, teacher = self._data, self._data.teacher_val
        guesses = data.val_y if teacher is None else teacher.argmax(dim=1)
        kept = LogitsByStudent([m.progress.measured for m in self.students])
        sums = train_losses.new_zeros(3, len(self.students))
        for x, y, guess in zip(
            data.val_x.split(VAL_BATCH),
            data.val_y.split(VAL_BATCH),
            guesses.split(VAL_BATCH),
            strict=True,
        ):
            logits = self._predict(x)
            kept.add(logits)
            predicted = logits.max(dim=1).indices
            sums[0] += (predicted == y).sum(dim=1)
            sums[1] += self._surprise(logits, y)
            if teacher is not None:
                sums[2] += (predicted == guess).sum(dim=1)
        numbers = torch.cat([train_losses.unsqueeze(0), sums / len(data.val_y)]).tolist()
        epochs = [m.progress.epoch + 1 for m in self.students]
        more = kept.measure(data.val_y, teacher, epochs=epochs)
        rows = zip(*numbers, more, strict=True)
        return {row: self._told(row, *told) for row, told in enumerate(rows)}

    def _told(
        self,
        row: int,
        train_loss: float,
        val_accuracy: float,
        val_loss: float,
        val_agreement: float,
        more: dict[str, float] | DivergedError,
    ) -> EpochMetrics | DivergedError:
        training, progress = self.students[row].training, self.students[row].progress
        for split, loss in (("training", train_loss), ("validation", val_loss)):
            if not math.isfinite(loss):
                return DivergedError(
                    f"the {split} loss became {loss} in epoch {progress.epoch + 1} at learning "
                    f"rate {training.learning_rate:.3g}"
                )
        if isinstance(more, DivergedError):
            return more
        steps = math.ceil(len(self._data.train_y) / self._batch_size)
        last = schedule_factor(training, progress.epoch + (steps - 1) / steps)
        metrics = EpochMetrics(
            epoch=progress.epoch + 1,
            train_loss=train_loss,
            val_accuracy=val_accuracy,
            val_loss=val_loss,
            val_agreement=val_agreement,
            learning_rate=training.learning_rate * last,
            more=more,
        )
        progress.add(metrics, lambda: self._weights(row))
        return metrics
