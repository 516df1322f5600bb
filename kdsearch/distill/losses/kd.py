"""The distillation loss. Shapes: B batch, C classes.

loss = alpha * CE(student, label)
     + (1 - alpha) * T^2 * KL(softmax(teacher / T) || softmax(student / T))

(Hinton, Vinyals & Dean 2015, section 2), KL summed over classes and averaged over the batch.
`alpha` weights the hard loss. T^2 keeps the soft gradient's size when T changes: without it a
temperature sweep is an alpha sweep in disguise.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.config import DistillationConfig, KdDistillation, needs_teacher
from kdsearch.distill.losses.transfer import SIGNALS, Signal, TeacherSignals, TransferLoss


class KdLoss(TransferLoss):
    """`kind: kd`. Its closed forms for many students at once stand with the engines.

    Those are `kdsearch.training.mlp.loss` and `kdsearch.training.vmap.closed_loss`, tested against
    this one.
    """

    def __init__(self, config: KdDistillation) -> None:
        """Nothing is computed yet."""
        self._temperature, self._alpha = config.temperature, config.alpha
        self.needs: frozenset[Signal] = SIGNALS if config.needs_teacher else frozenset()

    def prepare(self, teachers: TeacherSignals) -> Tensor:
        """The ensemble's softened probabilities [N, C]."""
        return soften(teachers.logits(self._temperature), self._temperature)

    def batch_loss(
        self, student_logits: Tensor, prepared: Tensor | None, labels: Tensor
    ) -> Tensor:
        """See `TransferLoss`."""
        return soft_target_loss(student_logits, prepared, labels, self._temperature, self._alpha)


def in_closed_form(configs: Sequence[DistillationConfig]) -> list[KdDistillation] | None:
    """The sections of losses whose slopes the engines have written out; None if not all are."""
    closed = [config for config in configs if isinstance(config, KdDistillation)]
    return closed if len(closed) == len(configs) else None


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor | None,
    labels: Tensor,
    temperature: float,
    alpha: float,
) -> Tensor:
    """The loss of one batch, a scalar; continuous at alpha 0 and 1.

    Args:
        student_logits: [B, C].
        teacher_logits: [B, C], without gradient; may be None where alpha is 1.
        labels: Class indices [B].
        temperature: Above 0.
        alpha: Weight of the hard loss, 0..1.

    Raises:
        ValueError: temperature or alpha is out of range, the shapes differ, or the teacher is
            missing where alpha is below 1.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature {temperature} is not a finite number above 0")
    targets = None
    if teacher_logits is not None:
        _check_shapes(student_logits, teacher_logits)
        targets = soften(teacher_logits, temperature)
    return soft_target_loss(student_logits, targets, labels, temperature, alpha)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """Probabilities [..., C] of logits [..., C] at a temperature, without gradient."""
    return torch.softmax(logits.detach() / temperature, dim=-1)


def soft_target_loss(
    student_logits: Tensor,
    soft_targets: Tensor | None,
    labels: Tensor,
    temperature: float,
    alpha: float,
) -> Tensor:
    """`distillation_loss` with the teacher's probabilities [B, C] already softened.

    Raises:
        ValueError: alpha is out of range, the shapes differ, or targets are missing where alpha
            is below 1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha {alpha} is not in 0..1")
    if not needs_teacher(alpha):
        return F.cross_entropy(student_logits, labels)
    if soft_targets is None:
        raise ValueError(f"alpha {alpha} needs a teacher; only alpha 1 does without")
    _check_shapes(student_logits, soft_targets)
    log_probs = F.log_softmax(student_logits / temperature, dim=-1)
    soft = temperature**2 * F.kl_div(log_probs, soft_targets, reduction="batchmean")
    if alpha == 0:
        return soft
    return alpha * F.cross_entropy(student_logits, labels) + (1 - alpha) * soft


def _check_shapes(student: Tensor, teacher: Tensor) -> None:
    # kl_div would broadcast, and divide by the classes where there is no batch dimension.
    if student.dim() != 2 or teacher.shape != student.shape:
        raise ValueError(
            f"student {list(student.shape)} and teacher {list(teacher.shape)} are not both "
            f"[B, C] of one shape"
        )
