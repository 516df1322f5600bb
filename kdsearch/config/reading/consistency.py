"""What no single section of a study file can know: whether the sections fit together."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from kdsearch.config.data import AugmentConfig, DataConfig, DigitsData, ImportData, NpzData
from kdsearch.config.model import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.config.problem import Problem, did_you_mean
from kdsearch.config.question import question_problems
from kdsearch.config.reading.metrics import (
    headline_problems,
    objective_problems,
    own_metric_problems,
)
from kdsearch.config.reading.teaching import (
    alpha_leaves_something_to_teach,
    ensemble_has_its_members,
)
from kdsearch.config.saturation import SaturationConfig, ladder_problems, with_ladder
from kdsearch.config.search import (
    BudgetConfig,
    ConfirmConfig,
    Objective,
    PrunerConfig,
    SamplerConfig,
    SearchParameter,
)
from kdsearch.config.search_space import check_parameters, numbers_given
from kdsearch.config.training import TrainingConfig
from kdsearch.config.trial import TeacherConfig

__all__ = ["Problem", "find_problems"]

Problems = Iterator[Problem]
Search = Mapping[str, SearchParameter]

MAX_STRATA = 1000
_SHAPES = {"digits": (8, 8), "mnist": (28, 28), "fashion_mnist": (28, 28), "mnist1d": (40,)}
"""Shapes of a sample where the kind of data settles them."""
_DIMENSIONS = {kind: len(shape) for kind, shape in _SHAPES.items()} | {"idx": 2}
_DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")


def find_problems(sections: Mapping[str, Any]) -> list[Problem]:
    """Cross-field mistakes among the sections that are valid by themselves.

    Args:
        sections: Valid sections of a study file by their key; invalid ones are left out, and
            the checks that need them with them. Where `search` is left out, `parameters` may
            hold its valid part.
    """
    known = {"parameters": sections.get("search", {})} | dict(sections)
    study: SaturationConfig | None = known.get("study")
    problems: list[Problem] = []
    if study is not None:
        problems += ladder_problems(study, known["parameters"], known)
        is_sound = not problems
        if is_sound:
            known["parameters"] = with_ladder(known["parameters"], study)
    problems += check_parameters(known["parameters"], known)
    for needs, check in _CHECKS:
        if all(key in known for key in needs):
            problems += check(*(known[key] for key in needs))
    return [_at_the_ladder(problem, study) for problem in problems]


def _at_the_ladder(problem: Problem, study: SaturationConfig | None) -> Problem:
    """A problem of the ladder's parameter, said of the ladder, as it is not under `search`."""
    if study is None or study.ladder is None:
        return problem
    section, _, name = problem.key.partition(".")
    own = study.ladder.parameter
    if section == "search" and name.startswith((f"{own}.values.", f"{own}.low")):
        return problem._replace(key="study.ladder")
    return problem


def _strata_are_few(search: Search) -> Problems:
    strata = 1
    for parameter in search.values():
        if parameter.role == "scientific":
            strata *= len(parameter.values or ())
    if strata > MAX_STRATA:
        yield Problem(
            "search",
            f"the scientific parameters make {strata} strata, each with the whole budget; "
            f"allowed are at most {MAX_STRATA}",
        )


def _question_can_be_answered(
    study: SaturationConfig,
    parameters: Search,
    objectives: tuple[Objective, ...],
    confirm: ConfirmConfig,
) -> Problems:
    if study.asks is not None:
        yield from question_problems(study.asks, parameters, objectives, confirm)


def _sampler_suits_the_objective(
    objectives: tuple[Objective, ...], sampler: SamplerConfig
) -> Problems:
    if sampler.kind == "surface" and len(objectives) > 1:
        yield Problem(
            "sampler.kind",
            "surface looks for the best of one objective; allowed with several are tpe, nsga2, "
            "gp, random, grid and qmc",
        )


def _sampler_suits_the_search(
    search: Search, sampler: SamplerConfig, budget: BudgetConfig
) -> Problems:
    nuisance = {name: p for name, p in search.items() if p.role == "nuisance"}
    if not nuisance:
        yield from _nothing_to_sample(sampler, budget)
    elif sampler.kind == "grid":
        yield from _grid_problems(nuisance, budget)
    elif sampler.kind == "qmc" and not any(p.is_range for p in nuisance.values()):
        # Optuna's QMCSampler draws every categorical parameter at random.
        yield Problem(
            "sampler.kind",
            "qmc spreads points over ranges, and no nuisance parameter has low and high; "
            "use grid, random or tpe",
        )


def _nothing_to_sample(sampler: SamplerConfig, budget: BudgetConfig) -> Problems:
    if budget.trials > 1:
        yield Problem(
            "budget.trials",
            f"{budget.trials} trials of a stratum would all be the same, because no search "
            "parameter has the role nuisance; allowed is 1",
        )
    if sampler.kind in ("nsga2", "gp", "qmc"):
        yield Problem(
            "sampler.kind",
            f"{sampler.kind} needs at least one parameter with the role nuisance; allowed "
            "without one are surface, tpe, random and grid",
        )


def _grid_problems(nuisance: Search, budget: BudgetConfig) -> Problems:
    size: int | None = 1
    for name, parameter in nuisance.items():
        points = parameter.num_points()
        size = None if size is None or points is None else size * points
        if points is None:
            yield Problem(
                f"search.{name}",
                "the grid sampler needs `values: [...]` or a `step` for every nuisance parameter",
            )
    if size is not None and budget.trials > size:
        yield Problem(
            "budget.trials",
            f"{budget.trials} trials, but the grid has {size} points; allowed is at most {size}",
        )


def _rungs_fit(search: Search, training: TrainingConfig, pruner: PrunerConfig) -> Problems:
    longest = max(_possible(search, "training.epochs", training.epochs))
    first = pruner.min_epochs
    if pruner.kind != "none" and first is not None and first >= longest:
        yield Problem(
            "pruner.min_epochs",
            f"the first rung is at epoch {first}, but training has {longest} epochs; "
            f"allowed is below {longest}, or `kind: none`",
        )


def _student_warms_up(search: Search, training: TrainingConfig) -> Problems:
    yield from _warmup(search, "training", training)


def _teacher_warms_up(search: Search, teacher: TeacherConfig) -> Problems:
    yield from _warmup(search, "teacher.training", teacher.training)


def _warmup(search: Search, key: str, training: TrainingConfig) -> Problems:
    name = f"{key}.warmup_epochs"
    warmup = max(_possible(search, name, training.warmup_epochs))
    epochs = min(_possible(search, f"{key}.epochs", training.epochs))
    if warmup > 0 and warmup >= epochs:
        yield Problem(
            f"search.{name}" if name in search else name,
            f"{warmup} epochs of warm-up do not fit into {epochs} epochs; allowed is below "
            f"{key}.epochs",
        )


def _student_suits_its_engine(student: ModelConfig, training: TrainingConfig) -> Problems:
    yield from _engine_problems("training.engine", student, training)


def _teacher_suits_its_engine(teacher: TeacherConfig) -> Problems:
    yield from _engine_problems("teacher.training.engine", teacher.model, teacher.training)


def _engine_problems(key: str, model: ModelConfig, training: TrainingConfig) -> Problems:
    is_regularized = isinstance(model, MlpModel) and model.is_regularized
    if training.engine == "population" and is_regularized:
        yield Problem(
            key,
            "population trains without dropout and max_norm; allowed with them are auto and "
            "reference",
        )


def _student_is_untrained(student: ModelConfig) -> Problems:
    if isinstance(student, ImportModel) and student.pretrained:
        yield Problem("student.pretrained", "a student is always trained here; allowed is false")


def _pretrained_teacher_is_one(teacher: TeacherConfig) -> Problems:
    if _is_pretrained(teacher) and teacher.members > 1:
        yield Problem(
            "teacher.members",
            f"a pretrained teacher is one model, so {teacher.members} members would be the same; "
            "allowed is 1",
        )


def _pretrained_teacher_stays(search: Search, teacher: TeacherConfig) -> Problems:
    for name in search:
        if _is_pretrained(teacher) and name.startswith("teacher.training."):
            yield Problem(
                f"search.{name}",
                "the teacher is pretrained and not trained again; take this parameter out, or "
                "set teacher.model.pretrained to false",
            )


def _is_pretrained(teacher: TeacherConfig) -> bool:
    return isinstance(teacher.model, ImportModel) and teacher.model.pretrained


def _student_reads_the_data(search: Search, student: ModelConfig, data: DataConfig) -> Problems:
    yield from _model_reads("student", student, data, search)


def _teacher_reads_the_data(search: Search, teacher: TeacherConfig, data: DataConfig) -> Problems:
    yield from _model_reads("teacher.model", teacher.model, data, search)


def _model_reads(key: str, model: ModelConfig, data: DataConfig, search: Search) -> Problems:
    if not isinstance(model, CnnModel | Conv1dModel) or data.kind not in _DIMENSIONS:
        return
    wanted, what = (2, "images") if isinstance(model, CnnModel) else (1, "signals (1-D samples)")
    if _DIMENSIONS[data.kind] != wanted:
        other = "conv1d" if wanted == 2 else "cnn"
        yield Problem(
            f"{key}.kind",
            f"{model.kind} reads {what}, but {data.kind} has {_DIMENSIONS[data.kind]}-D samples; "
            f"allowed are mlp, {other} and import",
        )
        return
    deepest = max(_possible(search, f"{key}.depth", model.depth))
    side = min(_SHAPES.get(data.kind, (2**16,)))
    if deepest > side.bit_length() - 1:
        name = f"{key}.depth"
        yield Problem(
            f"search.{name}" if name in search else name,
            f"depth {deepest} halves a sample {deepest} times, but {data.kind} has {side} values "
            f"a side; allowed is at most {side.bit_length() - 1}",
        )


def _fractions_leave_training_samples(data: DataConfig) -> Problems:
    splits_test = isinstance(data, DigitsData | NpzData | ImportData)
    if splits_test and data.val_fraction + data.test_fraction >= 1:
        yield Problem(
            "data.val_fraction",
            f"val_fraction {data.val_fraction} and test_fraction {data.test_fraction} leave no "
            "training samples; their sum must be below 1",
        )


def _augmentation_fits(data: DataConfig) -> Problems:
    if data.augment is not None:
        yield from _views_fit("data.augment", data.augment, data)


def _teachers_augmentation_fits(teacher: TeacherConfig, data: DataConfig) -> Problems:
    augment = teacher.augment
    if isinstance(augment, str):
        return
    yield from _views_fit("teacher.augment", augment, data)
    if _is_pretrained(teacher):
        yield Problem("teacher.augment", "a pretrained teacher is not trained here; take this out")


def _views_fit(key: str, augment: AugmentConfig, data: DataConfig) -> Problems:
    if not (augment.shift or augment.flip or augment.transform):
        yield Problem(
            key,
            "changes nothing; give shift (1 or more), flip: true or transform, or leave it out",
        )
    side = min(_SHAPES.get(data.kind, (2**16,)))
    if augment.shift >= side:
        yield Problem(
            f"{key}.shift",
            f"{augment.shift} moves whole samples out of sight, as {data.kind} has {side} values "
            f"a side; allowed is at most {side - 1}",
        )


def _storage_can_resume(storage: str) -> Problems:
    dialect, _, rest = storage.partition("://")
    dialect = dialect.partition("+")[0]
    if dialect not in _DIALECTS:
        nearest = did_you_mean(dialect, _DIALECTS)
        yield Problem(
            "storage",
            f"'{dialect}' is not a database that Optuna stores studies in; {nearest}allowed are "
            "sqlite, postgresql, mysql and mariadb",
        )
    elif dialect == "sqlite" and rest.lstrip("/") in ("", ":memory:"):
        yield Problem(
            "storage",
            "a database in memory cannot be resumed; give a file, such as sqlite:///kdsearch.db",
        )
    elif dialect == "sqlite" and not rest.startswith("/"):
        yield Problem("storage", "an SQLite URL has three slashes, such as sqlite:///kdsearch.db")
    elif dialect == "sqlite" and re.search(r"[?#]", rest):
        yield Problem(
            "storage", "an SQLite file with ? or # in its URL; allowed is a plain file path"
        )


def _possible(search: Search, target: str, default: int) -> list[Any]:
    """The numbers that a field can take: those searched, or the one in its section."""
    return [value for _, _, value in numbers_given(search, target)] or [default]


Check = tuple[tuple[str, ...], Callable[..., Iterable[Problem]]]
_CHECKS: tuple[Check, ...] = (
    (("parameters", "distillation", "teacher"), ensemble_has_its_members),
    (("parameters", "distillation"), alpha_leaves_something_to_teach),
    (("parameters",), _strata_are_few),
    (("search", "sampler", "budget"), _sampler_suits_the_search),
    (("metrics",), own_metric_problems),
    (("objective", "metrics"), objective_problems),
    (("study", "metrics"), headline_problems),
    (("study", "parameters", "objective", "confirm"), _question_can_be_answered),
    (("objective", "sampler"), _sampler_suits_the_objective),
    (("parameters", "training", "pruner"), _rungs_fit),
    (("parameters", "training"), _student_warms_up),
    (("parameters", "teacher"), _teacher_warms_up),
    (("student", "training"), _student_suits_its_engine),
    (("teacher",), _teacher_suits_its_engine),
    (("student",), _student_is_untrained),
    (("teacher",), _pretrained_teacher_is_one),
    (("parameters", "teacher"), _pretrained_teacher_stays),
    (("parameters", "student", "data"), _student_reads_the_data),
    (("parameters", "teacher", "data"), _teacher_reads_the_data),
    (("data",), _fractions_leave_training_samples),
    (("data",), _augmentation_fits),
    (("teacher", "data"), _teachers_augmentation_fits),
    (("storage",), _storage_can_resume),
)
"""The sections that each check needs, and the check."""
