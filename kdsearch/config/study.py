"""The study file as one frozen model, and what one trial makes of it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kdsearch.config import consistency
from kdsearch.config.base import Scalar, Section
from kdsearch.config.data import DataConfig
from kdsearch.config.model import ModelConfig
from kdsearch.config.search import (
    BudgetConfig,
    ConfirmConfig,
    Objective,
    PrunerConfig,
    SamplerConfig,
    SearchParameter,
)
from kdsearch.config.training import DistillationConfig, TrainingConfig

SHORT_NAMES = {
    "temperature": "distillation.temperature",
    "alpha": "distillation.alpha",
    "ensemble_size": "distillation.ensemble_size",
    "learning_rate": "training.learning_rate",
    "width": "student.width",
}
"""Search parameters that need no dotted name."""


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


class TrackingConfig(Section):
    """`tracking:` - what MLflow is given."""

    experiment: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    """MLflow experiment; the study's name if left out."""
    models: Literal["all", "confirmed", "none"] = "all"
    """Which completed students are logged as models."""


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
    """How it is taught; alpha 1 is the baseline arm, without a teacher."""


class StudyConfig(Section):
    """A study file, validated. Frozen: past `load_study` nothing is checked twice."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Names the study, its folders, its MLflow experiment and its registered model."""
    question: Annotated[str, Field(max_length=300)] | None = None
    """What the study asks, in one sentence; derived from the search space if left out."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """The one seed that every other seed of the study derives from."""
    data: DataConfig
    teacher: TeacherConfig
    student: ModelConfig
    training: TrainingConfig = TrainingConfig()
    search: Annotated[dict[str, SearchParameter], Field(min_length=1)]
    """Parameter name (short or dotted) to its range, values or value."""
    objective: Annotated[
        tuple[Objective, ...],
        Field(strict=False, min_length=1),
        BeforeValidator(lambda value: (value,) if isinstance(value, dict) else value),
    ] = (Objective(metric="val_accuracy", direction="maximize"),)
    """One objective, or a list of two or more for a Pareto study."""
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    budget: BudgetConfig
    confirm: ConfirmConfig = ConfirmConfig()
    tracking: TrackingConfig = TrackingConfig()
    storage: Annotated[str, Field(pattern=r"^[A-Za-z][\w+]*://.*$")] = "sqlite:///kdsearch.db"
    """Optuna storage URL."""

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "StudyConfig":
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        problems = consistency.find_problems(sections)
        if problems:
            raise ValueError("; ".join(f"{p.key}: {p.message}" for p in problems))
        return self

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment."""
        return self.tracking.experiment or self.name

    def parameters(self, role: str) -> dict[str, SearchParameter]:
        """The search parameters of one role, in the order of the file."""
        return {name: p for name, p in self.search.items() if p.role == role}

    def trial_config(self, settings: Mapping[str, Scalar]) -> TrialConfig:
        """What one trial runs.

        Args:
            settings: Value of each search parameter, by the name it has in the file. Fixed
                parameters may be left out; `alpha` may be given although it is not searched.

        Raises:
            pydantic.ValidationError: A value is not allowed where it would go.
        """
        return apply_settings(
            data=self.data,
            teacher=self.teacher,
            student=self.student,
            training=self.training,
            settings={n: p.value for n, p in self.parameters("fixed").items()} | dict(settings),
        )


def apply_settings(
    *,
    data: DataConfig,
    teacher: TeacherConfig,
    student: ModelConfig,
    training: TrainingConfig,
    settings: Mapping[str, Any],
) -> TrialConfig:
    """Put `settings` into the sections of a study.

    Raises:
        pydantic.ValidationError: A value is not allowed where it would go.
        KeyError: A dotted name leads nowhere.
    """
    tree: dict[str, Any] = {
        "data": data.model_dump(),
        "teacher": teacher.model_dump(),
        "student": student.model_dump(),
        "training": training.model_dump(),
        "distillation": {
            "ensemble_size": teacher.members,
            "ensemble_mode": teacher.ensemble_mode,
        },
    }
    for name, value in settings.items():
        *path, leaf = SHORT_NAMES.get(name, name).split(".")
        node = tree
        for key in path:
            node = node[key]
        node[leaf] = value
    return TrialConfig.model_validate(tree)


