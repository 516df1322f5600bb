"""How good a model's logits are, by the table of metrics. N samples, C classes, P students."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kdsearch.config import Metric
from kdsearch.errors import DivergedError, UserInputError
from kdsearch.models import CLASSIFICATION
from kdsearch.results import Evaluation
from kdsearch.training.metrics import FUNCTIONS
from kdsearch.user_code import UserCode, import_target


def evaluate_logits(
    logits: Tensor, labels: Tensor, teacher_logits: Tensor, *, own: Sequence[Metric] = ()
) -> Evaluation:
    """Every metric on one split.

    Args:
        logits: [N, C] of the model.
        labels: Class indices [N].
        teacher_logits: [N, C] of the full teacher ensemble.
        own: The user's own metrics, after those of the table.

    Raises:
        UserInputError: One of the user's own fails.
    """
    values = {
        metric.name: measure(metric, logits, labels, teacher_logits)
        for metric in (*CLASSIFICATION.metrics, *own)
    }
    fields = {name: values.pop(name) for name in Evaluation.FIELDS}
    more = {name: value for name, value in values.items() if math.isfinite(value)}
    return Evaluation(**fields, more=more, num_samples=len(labels))


def measure(
    metric: Metric, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None
) -> float:
    """One metric of logits [N, C].

    Raises:
        UserInputError: The user's own cannot be imported, fails, or returns no finite number.
    """
    given = [logits, labels]
    if metric.needs_teacher:
        assert teacher_logits is not None, f"{metric.name} is asked for where nobody teaches"
        given.append(teacher_logits)
    if metric.target is None:
        return FUNCTIONS[metric.name](*given)
    function = import_target(metric.target)
    with UserCode(f"Calling '{metric.target}'", UserInputError):
        returned = function(*(tensor.detach().cpu().clone() for tensor in given))
        if isinstance(returned, Tensor | np.ndarray | np.generic):
            returned = returned.item()
    if not isinstance(returned, int | float) or not math.isfinite(returned):
        raise UserInputError(
            f"'{metric.target}' returned {returned!r:.60}; a finite number is allowed"
        )
    return float(returned)


def measure_epoch(
    metrics: Sequence[Metric],
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor | None,
    *,
    epoch: int,
) -> dict[str, float]:
    """What ranks an epoch, by name, beside what is measured in each.

    Raises:
        DivergedError: One of them is not a finite number, so that it ranks nothing.
        UserInputError: As `measure`.
    """
    values = {m.name: measure(m, logits, labels, teacher_logits) for m in metrics}
    for name, value in values.items():
        if not math.isfinite(value):
            raise DivergedError(f"the validation {name} became {value} in epoch {epoch}")
    return values


class LogitsByStudent:
    """The logits of a population's students, gathered batch by batch where metrics need all."""

    def __init__(self, metrics: Sequence[Sequence[Metric]]) -> None:
        """Nothing is kept where nobody asks for a metric.

        Args:
            metrics: Of each student [P], those that rank its epochs.
        """
        self._metrics = metrics
        self._batches: list[Tensor] = []

    def add(self, logits: Tensor) -> None:
        """Keep the logits [P, C, B] of a batch, whose memory may be used again."""
        if any(self._metrics):
            self._batches.append(logits.clone())

    def measure(
        self, labels: Tensor, teacher_logits: Tensor | None, *, epochs: Sequence[int]
    ) -> list[dict[str, float] | DivergedError]:
        """`measure_epoch` of each student, or why it cannot go on.

        Args:
            labels: [N].
            teacher_logits: [N, C].
            epochs: The epoch that each student is in.
        """
        if not self._batches:
            return [{} for _ in self._metrics]
        logits = torch.cat(self._batches, dim=2).transpose(1, 2)
        found: list[dict[str, float] | DivergedError] = []
        for own, metrics, epoch in zip(logits, self._metrics, epochs, strict=True):
            try:
                found.append(measure_epoch(metrics, own, labels, teacher_logits, epoch=epoch))
            except (DivergedError, UserInputError) as error:
                found.append(DivergedError(str(error)))  # of this student; the others go on
        return found
