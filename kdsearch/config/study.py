"""The study file as one frozen model, and what one trial makes of it."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from kdsearch.config.base import Scalar, Section
from kdsearch.config.data import DataConfig
from kdsearch.config.distillation import DistillationConfig, KdDistillation
from kdsearch.config.metric import ImportMetric, Metric, table_with, with_directions
from kdsearch.config.model import ModelConfig
from kdsearch.config.question import Asks, derived_question, kind_of_question
from kdsearch.config.reading import consistency
from kdsearch.config.saturation import SaturationConfig, with_ladder
from kdsearch.config.search import (
    BudgetConfig,
    ConfirmConfig,
    Objective,
    PrunerConfig,
    SamplerConfig,
    SamplerKind,
    SearchParameter,
)
from kdsearch.config.search_space import is_integer_field
from kdsearch.config.training import TrainingConfig
from kdsearch.config.trial import TeacherConfig, TrialConfig, apply_settings, field_of, short_name


class TrackingConfig(Section):
    """`tracking:` - what MLflow is given."""

    experiment: Annotated[str, Field(min_length=1, max_length=250)] | None = None
    """MLflow experiment; the study's name if left out."""
    models: Literal["all", "confirmed", "none"] = "all"
    """Which completed students are logged as models."""


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
    distillation: DistillationConfig = KdDistillation()
    search: Annotated[dict[str, SearchParameter], Field(min_length=1)]
    """Parameter name to its range, values or value. `student.width` may be written for `width`."""
    objective: Annotated[
        tuple[Objective, ...],
        Field(strict=False, min_length=1),
        BeforeValidator(lambda value: (value,) if isinstance(value, dict) else value),
    ] = (Objective(metric="val_accuracy", direction="maximize"),)
    """One objective, or a list of two or more for a Pareto study."""
    metrics: Annotated[dict[str, ImportMetric], Field(default_factory=dict)]
    """Metrics of your own by name, beside those of the [table](#metrics)."""
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    budget: BudgetConfig
    confirm: ConfirmConfig = ConfirmConfig()
    study: SaturationConfig = SaturationConfig()
    tracking: TrackingConfig = TrackingConfig()
    storage: Annotated[str, Field(pattern=r"^[A-Za-z][\w+]*://.*$")] = "sqlite:///kdsearch.db"
    """Optuna storage URL."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, file: Any) -> Any:
        if not isinstance(file, dict):
            return file
        named = {"search": named_once(file["search"])} if "search" in file else {}
        return with_directions(file | named)

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

    @property
    def metric_table(self) -> dict[str, Metric]:
        """Every metric that the study can speak of, by name: the table's, then its own."""
        return table_with(self.metrics)

    @property
    def own_metrics(self) -> tuple[Metric, ...]:
        """Those that the study brings along."""
        return tuple(section.as_metric(name) for name, section in self.metrics.items())

    @property
    def headline(self) -> Metric:
        """The metric that the report speaks of."""
        return self.metric_table[self.study.metric]

    @property
    def sampler_kind(self) -> SamplerKind:
        """Who proposes settings, where the file leaves that open too."""
        return self.sampler.kind or ("tpe" if len(self.objective) > 1 else "surface")

    @property
    def space(self) -> dict[str, SearchParameter]:
        """Every search parameter: the ladder's, then those of the file in their order."""
        return with_ladder(self.search, self.study)

    def parameters(self, role: str) -> dict[str, SearchParameter]:
        """The search parameters of one role, in the order of the file."""
        return {name: p for name, p in self.space.items() if p.role == role}

    def trial_config(self, settings: Mapping[str, Scalar]) -> TrialConfig:
        """What one trial runs.

        Args:
            settings: Value of each search parameter, by the name it has in the file. Fixed
                parameters may be left out; `alpha` may be given although it is not searched.

        Raises:
            pydantic.ValidationError: A value is not allowed where it would go.
        """
        fixed = {n: p.value for n, p in self.parameters("fixed").items() if p.value is not None}
        return apply_settings(
            data=self.data,
            teacher=self.teacher,
            student=self.student,
            training=self.training,
            distillation=self.distillation,
            settings=fixed | dict(settings),
        )

    def strata(self) -> tuple[dict[str, Scalar], ...]:
        """Every combination of the scientific values, in file order; one empty one if none.

        With a ladder: every size that climbing can reach. Which of them a study has tried, and
        what it put between them, only its records say (`kdsearch.results.strata_of`).
        """
        axes = self.parameters("scientific")
        values = [p.values or () for p in axes.values()]
        return tuple(dict(zip(axes, point, strict=True)) for point in itertools.product(*values))

    def is_integer(self, name: str) -> bool:
        """Whether a search parameter takes whole numbers only.

        What an imported model's own options take is read off the file: 8 is whole, 8.0 is not.
        """
        sections = {key: getattr(self, key) for key in type(self).model_fields}
        known = is_integer_field(name, sections)
        if known is not None:
            return known
        return all(isinstance(value, int) for _, value in self.space[name].given())

    @property
    def asks(self) -> Asks:
        """The kind of question, which the report answers first."""
        return self.study.asks or kind_of_question(self.space, self.objective)

    @property
    def question_text(self) -> str:
        """What the study asks, in one sentence."""
        return self.question or derived_question(self.student, self.space, self.objective)


def named_once(search: Any) -> Any:
    """The section with its parameters under their short names.

    One that is given by both of its names is left alone, and refused later.
    """
    if not isinstance(search, dict):
        return search
    short = {short_name(name): parameter for name, parameter in search.items()}
    return short if len(short) == len(search) else search


def applies_to_baseline(name: str) -> bool:
    """Whether a search parameter matters to a student that has no teacher."""
    return not field_of(name).startswith(("distillation.", "teacher."))


def baseline_strata(strata: Sequence[Mapping[str, Scalar]]) -> tuple[dict[str, Scalar], ...]:
    """Strata as a student without a teacher sees them, each once, in order."""
    distinct: list[dict[str, Scalar]] = []
    for stratum in strata:
        seen = {name: value for name, value in stratum.items() if applies_to_baseline(name)}
        if seen not in distinct:
            distinct.append(seen)
    return tuple(distinct)
