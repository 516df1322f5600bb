"""What one trial runs, and where its settings go."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from kdsearch.config.base import Scalar, Section
from kdsearch.config.data import AugmentConfig, DataConfig
from kdsearch.config.distillation import HARD_LABELS, DistillationConfig, KdDistillation
from kdsearch.config.model import ModelConfig
from kdsearch.config.training import TrainingConfig

SHORT_NAMES = {
    "temperature": "distillation.temperature",
    "alpha": "distillation.alpha",
    "ensemble_size": "distillation.ensemble_size",
    "learning_rate": "training.learning_rate",
    "width": "student.width",
}
"""Search parameters that need no dotted name, and the fields that they set.

A file may write either. Past `load_study` a parameter with a short name is called by it."""
_SHORT = {field: short for short, field in SHORT_NAMES.items()}


def short_name(name: str) -> str:
    """What a parameter is called past `load_study`: its short name where it has one."""
    return _SHORT.get(name, name)


def field_of(name: str) -> str:
    """The dotted path of the field that a parameter sets."""
    return SHORT_NAMES.get(name, name)


def changes_student(name: str) -> bool:
    """Whether a parameter makes another architecture: a student with other initial weights."""
    return field_of(name).startswith("student.")


TeacherViews = Annotated[
    Annotated[AugmentConfig, Tag("views")] | Annotated[Literal["data", "none"], Tag("word")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "views"),
]
"""Views of the teachers' own, or a word that says whose."""


class TeacherConfig(Section):
    """`teacher:` - the bank of teachers, trained once and shared by all trials and studies."""

    model: ModelConfig
    """Architecture of every member."""
    members: Annotated[int, Field(ge=1, le=1000)] = 1
    """Size of the bank; members differ in their seed."""
    training: TrainingConfig = TrainingConfig()
    """How a member is trained, on hard labels."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of member 1; part of what identifies a cached teacher."""
    ensemble_mode: Literal["logit_mean", "prob_mean"] = "logit_mean"
    """Average the members' logits, or their softened probabilities."""
    augment: TeacherViews = "data"
    """What members are trained on: `data`, the views that students see (`data.augment`); `none`,
    the samples as they are; or views of their own, as `data.augment` describes them."""

    def data_of(self, data: DataConfig) -> DataConfig:
        """What the members are trained on.

        Args:
            data: The study's section, which says what students see.
        """
        own: dict[str, object] = {"transfer": None}
        if self.augment != "data":
            own["augment"] = None if self.augment == "none" else self.augment
        return data.model_copy(update=own)


class TrialConfig(Section):
    """Everything that decides what one student learns, its seed excepted."""

    data: DataConfig
    """What the student is trained on."""
    teacher: TeacherConfig
    """Who teaches it."""
    student: ModelConfig
    """What it is."""
    training: TrainingConfig
    """How it is trained."""
    distillation: DistillationConfig
    """How it is taught; in the baseline arm, on hard labels only."""


def apply_settings(
    *,
    data: DataConfig,
    teacher: TeacherConfig,
    student: ModelConfig,
    training: TrainingConfig,
    distillation: DistillationConfig,
    settings: Mapping[str, Scalar],
) -> TrialConfig:
    """Put `settings` into the sections of a study, whose own values they replace.

    The baseline arm is given `alpha` 1, hard labels only. Where the study's loss has no alpha,
    nobody else is given one, and hard labels are those of `kd`.

    Raises:
        pydantic.ValidationError: A value is not allowed where it would go.
        KeyError: A dotted name leads nowhere.
    """
    tree: dict[str, Any] = {
        "data": data.model_dump(),
        "teacher": teacher.model_dump(),
        "student": student.model_dump(),
        "training": training.model_dump(),
        "distillation": _taught_by(teacher, distillation, settings).model_dump(),
    }
    for name, value in settings.items():
        *path, leaf = field_of(name).split(".")
        node = tree
        for key in path:
            node = node[key]
        node[leaf] = value
    return TrialConfig.model_validate(tree)


def _taught_by(
    teacher: TeacherConfig, distillation: DistillationConfig, settings: Mapping[str, Scalar]
) -> DistillationConfig:
    """The section with what it leaves to the teachers' section."""
    if "alpha" in settings and distillation.number("alpha") is None:
        distillation = KdDistillation(alpha=HARD_LABELS)
    left_open = {
        "ensemble_size": distillation.ensemble_size or teacher.members,
        "ensemble_mode": distillation.ensemble_mode or teacher.ensemble_mode,
    }
    return distillation.model_copy(update=left_open)
