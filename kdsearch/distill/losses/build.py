"""From the section of the study file to a loss, and what it makes of a view's teachers.

N samples.
"""

import pkgutil
from typing import assert_never

from torch import Tensor

from kdsearch.config import BuiltInDistillation, DistillationConfig, ImportDistillation
from kdsearch.distill.losses.imported import ImportedLoss
from kdsearch.distill.losses.transfer import TeacherSignals, TransferLoss


def build_loss(config: DistillationConfig) -> TransferLoss:
    """The loss that a section describes.

    Raises:
        UserInputError: The user's own cannot be made.
    """
    match config:
        case BuiltInDistillation():
            return pkgutil.resolve_name(config.FORMULA)(config)
        case ImportDistillation():
            return ImportedLoss(config.target, config.options)
        case _:
            assert_never(config)


def prepared_rows(
    loss: TransferLoss, config: DistillationConfig, member_logits: Tensor | None
) -> Tensor | None:
    """What a loss keeps of the teachers for a view, a row for each sample: [N, ...].

    Args:
        loss: Of the section.
        config: The section, which says who teaches.
        member_logits: All members' on the view, [K, N, C]; None where nobody teaches.

    Returns:
        None for a loss that needs no teacher.

    Raises:
        ValueError: It needs one, and nobody teaches.
    """
    return loss.prepare(teacher_signals(config, member_logits)) if loss.needs else None


def teacher_signals(config: DistillationConfig, member_logits: Tensor | None) -> TeacherSignals:
    """What those teachers say that a section names.

    Raises:
        ValueError: Nobody teaches.
    """
    if member_logits is None:
        raise ValueError(f"the loss ({config}) needs teacher logits")
    mode = config.ensemble_mode or "logit_mean"
    return TeacherSignals(member_logits, config.ensemble_size, mode)
