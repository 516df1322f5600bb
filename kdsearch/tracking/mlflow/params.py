"""MLflow params: settings and facts of a run that do not change while it trains."""

import math

from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.tracking.mlflow.labels import as_text

_SIGNIFICANT_DIGITS = 3
"""More fill the columns of MLflow's tables; a tag of the run has the exact settings."""


def trial_params(config: StudyConfig, record: TrialRecord) -> dict[str, str]:
    """Params of a student's run: every setting, its seed, its capacity. Outcomes are metrics.

    MLflow's charts have linear axes only, so what lives on a log scale is there twice, the second
    time as `log10_NAME`.
    """
    values: dict[str, Scalar | None] = {
        "temperature": record.temperature,
        "alpha": record.alpha,
        "width": record.width,
        "ensemble_size": record.ensemble_size,
        "learning_rate": record.learning_rate,
        **record.settings,
        "stage": record.stage,
        "arm": record.arm,
        "seed": record.seed,
        **_capacity(record),
    }
    logged = {name for name, parameter in config.space.items() if parameter.log}
    return _formatted(values, logged | {"learning_rate", "num_params"})


def teacher_params(bank: TeacherBankRecord, record: TeacherRecord) -> dict[str, str]:
    """Params of a teacher's run."""
    values: dict[str, Scalar | None] = {
        "model": record.model,
        "member": record.member,
        **bank.settings,
        **_capacity(record),
    }
    return _formatted(values, {"num_params"})


def study_params(config: StudyConfig) -> dict[str, str]:
    """Params of the study's run: what it searches, how, and for how long."""
    values: dict[str, Scalar | None] = {
        "data": config.data.kind,
        "teacher": f"{config.teacher.model.kind} width {config.teacher.model.width}",
        "teacher.members": config.teacher.members,
        "student": config.student.kind,
        "objective": ", ".join(f"{o.direction} {o.metric}" for o in config.objective),
        "sampler": config.sampler_kind,
        "pruner": config.pruner.kind,
        "budget.trials": config.budget.trials,
        "confirm.replicates": config.confirm.replicates,
        "seed": config.seed,
    }
    return _formatted(values, set())


def _capacity(record: TrialRecord | TeacherRecord) -> dict[str, Scalar | None]:
    return {
        "num_params": record.num_params,
        "macs": record.macs,
        "size_bytes": record.size_bytes,
    }


def _formatted(values: dict[str, Scalar | None], logged: set[str]) -> dict[str, str]:
    logarithms: dict[str, Scalar | None] = {
        f"log10_{name}": math.log10(value)
        for name, value in values.items()
        if name in logged and isinstance(value, (int, float)) and value > 0
    }
    return as_text({name: _short(value) for name, value in (values | logarithms).items()})


def _short(value: Scalar | None) -> Scalar | None:
    return f"{value:.{_SIGNIFICANT_DIGITS}g}" if isinstance(value, float) else value
