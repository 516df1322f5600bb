"""MLflow metrics: curves over epochs and final values, with times that a second try repeats."""

import math
from collections.abc import Iterable, Iterator, Sequence

from mlflow.entities import Metric

from kdsearch.config import Objective
from kdsearch.results import EpochMetrics, Evaluation, TeacherRecord, TrialRecord
from kdsearch.results.score import objective_value, validated_metric

_DECIMALS = 6
_ALWAYS = ("accuracy", "loss", "agreement")
"""What every epoch is measured by, in the order that MLflow shows."""
_FIRST = (*_ALWAYS, "ece", "brier", "teacher_kl")
"""Metrics in the order that MLflow shows; others follow by the table."""


def trial_metrics(
    record: TrialRecord, *, objective: Objective, start_ms: int, model_id: str | None
) -> list[Metric]:
    """Everything a student's run shows, `objective` first.

    MLflow lists metrics in the order of arrival, and its compare page starts with the first. The
    last `objective` is that of the weights that were kept, the value the search was told;
    `val/accuracy` and the other curves end at the last epoch, so the kept weights' values are
    `val/best_accuracy`, `val/best_loss` and `val/best_agreement`; and so on for a metric that
    ranks the epochs, which is a curve, too.

    Args:
        record: The student.
        objective: The (first) objective.
        start_ms: Start of the run, milliseconds since 1970. Times derive from it, so that the
            same record gives the same metrics, which MLflow then stores once.
        model_id: The logged model that gets the final values, too.
    """
    clock = _Clock(start_ms, record.train_seconds or 0.0, record.epochs)
    last = record.epochs
    objective_final = {"objective": objective_value(record, objective)}
    made = _objective_curve(record.history[:-1], objective, clock)
    made += _finals(objective_final, last, clock, model_id)
    curves = _curves(record.history)
    for metric in curves:
        for epoch in record.history:
            made += _one(f"val/{metric}", epoch.value(metric), epoch.epoch, clock)
    for name in ("train_loss", "learning_rate"):
        for epoch in record.history:
            key = f"train/{name.removeprefix('train_')}"
            made += _one(key, getattr(epoch, name), epoch.epoch, clock)
    final = _best(record.val, curves) | _evaluation("val", record.val, but=curves)
    final |= _evaluation("test", record.test)
    final |= {
        "train/epochs": record.epochs,
        "train/best_epoch": record.best_epoch,
        "train/seconds": record.train_seconds,
    }
    return made + _finals(final, last, clock, model_id)


def teacher_metrics(record: TeacherRecord, *, start_ms: int, model_id: str | None) -> list[Metric]:
    """A teacher's final values."""
    clock = _Clock(start_ms, record.train_seconds, record.epochs)
    final = _evaluation("val", record.val) | _evaluation("test", record.test)
    final |= {"train/epochs": record.epochs, "train/seconds": record.train_seconds}
    return _finals(final, record.epochs, clock, model_id)


def metric_keys(names: Iterable[str]) -> tuple[str, ...]:
    """Every metric that a student's run may have.

    Args:
        names: Of the study's table of metrics.
    """
    judged = [f"{kind}{name}" for name in names for kind in ("val/", "val/best_", "test/")]
    own = ("loss", "learning_rate", "seconds", "epochs", "best_epoch")
    return ("objective", *judged, *(f"train/{name}" for name in own))


def summary_metrics(summary: dict[str, float], *, timestamp_ms: int) -> list[Metric]:
    """Numbers of the report for the study's run."""
    return [
        Metric(name, _rounded(value), timestamp_ms, 0)
        for name, value in summary.items()
        if math.isfinite(value)
    ]


class _Clock:
    """Spreads the epochs evenly over the training time; the record keeps only their sum."""

    def __init__(self, start_ms: int, seconds: float, epochs: int) -> None:
        self._start_ms = start_ms
        self._per_epoch_ms = 1000 * seconds / max(epochs, 1)

    def at(self, epoch: int) -> int:
        return self._start_ms + round(epoch * self._per_epoch_ms)


def _objective_curve(
    history: tuple[EpochMetrics, ...], objective: Objective, clock: _Clock
) -> list[Metric]:
    name = validated_metric(objective)
    if name is None:
        return []
    return [
        metric
        for epoch in history
        for metric in _one("objective", epoch.value(name), epoch.epoch, clock)
    ]


def _curves(history: Sequence[EpochMetrics]) -> tuple[str, ...]:
    """Names of the metrics that were measured after every epoch."""
    return (*_ALWAYS, *history[-1].more) if history else ()


def _best(val: Evaluation | None, curves: Sequence[str]) -> dict[str, float | None]:
    names = dict.fromkeys((*_ALWAYS, *curves))
    return {} if val is None else {f"val/best_{name}": val.value(name) for name in names}


def _evaluation(
    split: str, evaluation: Evaluation | None, *, but: Sequence[str] = ()
) -> dict[str, float | None]:
    if evaluation is None:
        return {}
    names = [name for name in (*_FIRST, *evaluation.more) if name not in but]
    return {f"{split}/{name}": evaluation.value(name) for name in names}


def _finals(
    values: dict[str, float | None], step: int, clock: _Clock, model_id: str | None
) -> list[Metric]:
    return [
        metric
        for name, value in values.items()
        for metric in _one(name, value, step, clock, model_id)
    ]


def _one(
    name: str, value: float | None, step: int, clock: _Clock, model_id: str | None = None
) -> Iterator[Metric]:
    # MLflow would store infinity as 1.8e308, which ruins every chart that shows it.
    if value is not None and math.isfinite(value):
        yield Metric(name, _rounded(value), clock.at(step), step, model_id=model_id)


def _rounded(value: float) -> float:
    # 0.9399999976 fills a table column; a learning rate of 1e-7 must not become 0.
    return round(value, _DECIMALS) if abs(value) >= 1e-3 else float(f"{value:.{_DECIMALS}g}")
