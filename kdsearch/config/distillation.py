"""`distillation:` - how a student is taught: by which loss, and by which of the teachers.

A loss of ours is a section here, which says its fields and where its formula stands, and a place
in `DistillationConfig`; the formula is a file in `kdsearch.distill.losses`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from kdsearch.config.base import Fraction, PositiveFloat, PositiveInt, Scalar, Section, Target

HARD_LABELS = 1.0
"""The alpha of training on hard labels only. alpha weights the hard loss, whatever the loss."""


def needs_teacher(alpha: float | None) -> bool:
    """Whether a student hears its teachers: not at alpha 1. None for a loss without an alpha."""
    return alpha != HARD_LABELS


class Distillation(Section):
    """What every loss has."""

    ensemble_size: PositiveInt | None = None
    """Teach with members 1..k of the bank; null takes all of them."""
    ensemble_mode: Literal["logit_mean", "prob_mean"] | None = None
    """Average the members' logits, or their softened probabilities; null takes
    `teacher.ensemble_mode`."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the student hears its teachers at all."""
        return needs_teacher(self.number("alpha"))

    def number(self, field: str) -> float | None:
        """A number such as `alpha`; None where the loss has no field of that name."""
        return getattr(self, field, None)


class BuiltInDistillation(Distillation):
    """One of our losses."""

    FORMULA: ClassVar[str]
    """`module:class` of its `TransferLoss`, which is made of the section; by name, because the
    study file is read without torch."""


class KdDistillation(BuiltInDistillation):
    """Softened probabilities: alpha * CE + (1 - alpha) * T^2 * KL (Hinton et al. 2015)."""

    FORMULA: ClassVar[str] = "kdsearch.distill.losses.kd:KdLoss"

    kind: Literal["kd"] = "kd"
    temperature: PositiveFloat = 4.0
    """Softens both distributions; the guide's starting point is 4."""
    alpha: Fraction = 0.5
    """Weight of the hard loss: loss = alpha * CE + (1 - alpha) * T^2 * KL."""


class ImportDistillation(Distillation):
    """Your own: `module:callable(**options)` that makes a `kdsearch.distill.TransferLoss`."""

    kind: Literal["import"]
    target: Target
    """`module:callable`; the folder that the command runs in is importable."""
    options: Annotated[dict[str, Scalar], Field(default_factory=dict)]
    """Keyword arguments for the callable; searched as `distillation.options.NAME`."""


DistillationConfig = Annotated[
    KdDistillation | ImportDistillation,
    Field(discriminator="kind"),
    BeforeValidator(lambda value: {"kind": "kd"} | value if isinstance(value, dict) else value),
]
"""A section without a `kind` is `kd`."""
