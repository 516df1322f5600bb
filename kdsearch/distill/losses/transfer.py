"""What every loss is. Shapes: K members, N samples, B batch, C classes."""

from typing import Literal, NamedTuple, Protocol

from torch import Tensor

from kdsearch.distill.ensemble import EnsembleMode, ensemble_logits

Signal = Literal["logits"]
"""What teachers can be asked about a sample. Features of their layers will be the next."""

SIGNALS: frozenset[Signal] = frozenset({"logits"})


class TeacherSignals(NamedTuple):
    """What the teachers say about the samples of one view."""

    member_logits: Tensor
    """Of all members of the bank, [K, N, C]."""
    ensemble_size: int | None
    """How many of them teach; None for all."""
    ensemble_mode: EnsembleMode

    def logits(self, temperature: float = 1.0) -> Tensor:
        """The ensemble's logits [N, C]; with `prob_mean` the temperature decides them."""
        return ensemble_logits(
            self.member_logits,
            size=self.ensemble_size or len(self.member_logits),
            mode=self.ensemble_mode,
            temperature=temperature,
        )


class TransferLoss(Protocol):
    """The loss of a student. One that is derived from this class says only what differs.

    A function of what it is given: it draws no random numbers and remembers no batch, so that
    students train alike alone and together, interrupted or not.
    """

    needs: frozenset[Signal] = SIGNALS
    """What it asks the teachers; nothing where it does without them."""

    def prepare(self, teachers: TeacherSignals) -> Tensor:
        """What does not depend on the student, a row for each sample: [N, ...].

        Asked once for each view of the samples, if the loss needs anything; by default the
        ensemble's logits [N, C].
        """
        return teachers.logits()

    def batch_loss(
        self, student_logits: Tensor, prepared: Tensor | None, labels: Tensor
    ) -> Tensor:
        """The loss of one batch, its mean over the samples: a scalar.

        Args:
            student_logits: [B, C], with gradient.
            prepared: The batch's rows of `prepare`, [B, ...]; None if the loss needs nothing.
            labels: Class indices [B].
        """
        ...
