"""A user's own loss, whose failures are one sentence each.

N samples, B batch, C classes.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from kdsearch.distill.losses.transfer import SIGNALS, Signal, TeacherSignals, TransferLoss
from kdsearch.errors import UserInputError
from kdsearch.user_code import UserCode, call_target

NUM_TRIED = 4
"""Samples that a loss is tried on."""


class ImportedLoss(TransferLoss):
    """What the user's callable made, watched."""

    def __init__(self, target: str, options: Mapping[str, object]) -> None:
        """Make it.

        Raises:
            UserInputError: The target cannot be imported or fails, or what it makes is no loss.
        """
        self._target = target
        self._made = _checked(call_target(target, options), target)
        self.needs: frozenset[Signal] = frozenset(self._made.needs)

    def prepare(self, teachers: TeacherSignals) -> Tensor:
        """See `TransferLoss`.

        Raises:
            UserInputError: The user's code fails, or returns something else than rows.
        """
        with UserCode(f"'{self._target}': prepare", UserInputError):
            rows = self._made.prepare(teachers)
        num_samples = teachers.member_logits.shape[1]
        if not isinstance(rows, Tensor) or rows.dim() == 0 or len(rows) != num_samples:
            raise UserInputError(
                f"'{self._target}': prepare returned {_describe(rows)} for {num_samples} samples; "
                f"allowed is a tensor [{num_samples}, ...], a row for each"
            )
        return rows.detach()

    def batch_loss(
        self, student_logits: Tensor, prepared: Tensor | None, labels: Tensor
    ) -> Tensor:
        """See `TransferLoss`.

        Raises:
            UserInputError: The user's code fails, or returns something else than a loss.
        """
        with UserCode(f"'{self._target}': batch_loss", UserInputError):
            loss = self._made.batch_loss(student_logits, prepared, labels)
        if not isinstance(loss, Tensor) or loss.dim() > 0 or not loss.requires_grad:
            raise UserInputError(
                f"'{self._target}': batch_loss returned {_describe(loss)}; allowed is a scalar "
                "tensor that depends on the student's logits"
            )
        return loss


def try_out(target: str, options: Mapping[str, object], *, num_classes: int) -> None:
    """Try a user's loss on made-up logits, before anything is trained with it.

    Raises:
        UserInputError: It cannot be made, fails, or is not a function of what it is given.
    """
    draw = torch.Generator().manual_seed(0)
    student = torch.randn(NUM_TRIED, num_classes, generator=draw)
    members = torch.randn(1, NUM_TRIED, num_classes, generator=draw)
    labels = torch.randint(0, num_classes, (NUM_TRIED,), generator=draw)
    found: list[list[Tensor]] = []
    for _ in range(2):
        loss = ImportedLoss(target, options)
        signals = TeacherSignals(members, None, "logit_mean")
        prepared = loss.prepare(signals) if loss.needs else None
        logits = student.clone().requires_grad_()
        value = loss.batch_loss(logits, prepared, labels)
        with UserCode(f"'{target}': the gradient", UserInputError):
            (slope,) = torch.autograd.grad(value, logits)
        found.append([value.detach(), slope])
    if not all(one.isfinite().all() for one in found[0]):
        raise UserInputError(
            f"'{target}' gives a loss or a gradient that is not finite for logits around 0; "
            "allowed are finite ones"
        )
    if not all(torch.equal(one, other) for one, other in zip(*found, strict=True)):
        raise UserInputError(
            f"'{target}' gave another loss when it was called again with the same logits; allowed "
            "is a function of what it is given, without random numbers"
        )


def _checked(made: object, target: str) -> TransferLoss:
    """What the callable made, if it looks like a loss."""
    missing = [name for name in ("needs", "prepare", "batch_loss") if not hasattr(made, name)]
    if missing:
        raise UserInputError(
            f"'{target}' made {_describe(made)} without {' and '.join(missing)}; allowed is a "
            "kdsearch.distill.TransferLoss"
        )
    needs = made.needs  # type: ignore[attr-defined]
    if not isinstance(needs, frozenset | set | tuple | list) or not set(needs) <= SIGNALS:
        raise UserInputError(
            f"'{target}': needs is {needs!r}; allowed is an empty set, or one of "
            + ", ".join(repr(signal) for signal in sorted(SIGNALS))
        )
    return made  # type: ignore[return-value]


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}" + ("" if value.requires_grad else ", no gradient")
    return f"something of type {type(value).__name__}"
