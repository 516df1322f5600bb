"""What models are judged by: one table of metrics, and the section that adds a user's own.

A metric is an entry here and its function in `kdsearch.training.metrics`. Objective, rungs,
columns, MLflow keys and the words of the report follow from the entry. The table lies here, and
not with the records, because the study file is checked against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kdsearch.config.base import Section, Target

Direction = Literal["maximize", "minimize"]
Unit = Literal["fraction", "nats", "plain"]


@dataclass(frozen=True)
class Metric:
    """One way to judge a model's outputs on one split."""

    name: str
    """In records, in columns as `val_NAME` and `test_NAME`, in MLflow as `val/NAME`."""
    direction: Direction
    """Which way is better."""
    unit: Unit
    """`fraction` is shown in percent, its differences in points; `plain` has no unit."""
    words: str
    """For sentences and axes, such as `accuracy`."""
    needs_teacher: bool = False
    """Whether its function takes the teachers' outputs, too."""
    also: str | None = None
    """Another name that study files may use."""
    target: str | None = None
    """`module:callable` of a user's own; None for one of the table."""


_TABLE = (
    Metric("accuracy", "maximize", "fraction", "accuracy"),
    Metric("loss", "minimize", "nats", "loss", also="log_loss"),
    Metric("agreement", "maximize", "fraction", "agreement with the ensemble", needs_teacher=True),
    Metric("balanced_accuracy", "maximize", "fraction", "balanced accuracy"),
    Metric("f1_macro", "maximize", "fraction", "macro-averaged F1"),
    Metric("auroc", "maximize", "plain", "area under the ROC curve"),
    Metric("brier", "minimize", "plain", "Brier score"),
    Metric("ece", "minimize", "plain", "expected calibration error"),
    Metric(
        "teacher_kl",
        "minimize",
        "nats",
        "KL divergence from the ensemble",
        needs_teacher=True,
        also="kl_to_teacher",
    ),
)
METRICS = {metric.name: metric for metric in _TABLE}
"""Every metric that needs no code of the user's, by name."""
COUNTS = ("num_params", "macs", "size_bytes")
"""What an objective may be besides: a student's size, which is minimised."""
VALIDATION = "val_"
"""Begins the names of objectives that are metrics; the test set is never an objective."""
_OTHER_NAMES = {metric.also: metric.name for metric in _TABLE if metric.also}


class ImportMetric(Section):
    """`metrics.NAME:` - a metric of your own, which can then be an objective as `val_NAME`."""

    kind: Literal["import"]
    target: Target
    """`module:callable(logits, labels) -> float`: tensors [N, C] and [N] on the CPU."""
    direction: Direction
    """Which way is better."""
    unit: Unit = "plain"
    """`fraction` is shown in percent, its differences in points; `nats`; `plain` has no unit."""
    words: str | None = None
    """Its name in sentences and on axes; from its key if left out."""
    needs_teacher: bool = False
    """Whether the callable takes the logits [N, C] of the full teacher ensemble as a third."""

    def as_metric(self, name: str) -> Metric:
        """The section as an entry of the table."""
        return Metric(
            name,
            self.direction,
            self.unit,
            self.words or name.replace("_", " "),
            needs_teacher=self.needs_teacher,
            target=self.target,
        )


def table_with(own: Mapping[str, ImportMetric]) -> dict[str, Metric]:
    """The table, and after it a study's own metrics, by name."""
    return METRICS | {name: section.as_metric(name) for name, section in own.items()}


def metric_name(word: str) -> str:
    """The one name of a metric; a word that is no other name of one stays as it is."""
    return _OTHER_NAMES.get(word, word)


def objective_name(word: str) -> str:
    """The one name of an objective: `val_log_loss` is `val_loss`."""
    if not word.startswith(VALIDATION):
        return word
    return VALIDATION + metric_name(word.removeprefix(VALIDATION))


def objective_direction(word: str, own: Mapping[str, Direction]) -> Direction | None:
    """Which way of an objective is better; None for a word that is no objective.

    Args:
        word: `val_NAME`, or one of `COUNTS`.
        own: Directions of the study's own metrics, by name.
    """
    if word in COUNTS:
        return "minimize"
    name = objective_name(word).removeprefix(VALIDATION)
    if not word.startswith(VALIDATION):
        return None
    return METRICS[name].direction if name in METRICS else own.get(name)


def with_directions(file: Mapping[str, Any]) -> dict[str, Any]:
    """A study file, not validated, whose objectives all say which way is better.

    That is what the study's own metrics must be known for. What is malformed is left to the
    checks of the sections; an unknown metric gets a direction, so that it is the one complaint.
    """
    own = _own_directions(file.get("metrics"))

    def filled(objective: Any) -> Any:
        if not isinstance(objective, dict) or "direction" in objective:
            return objective
        direction = objective_direction(str(objective.get("metric")), own)
        return objective | {"direction": direction or "maximize"}

    given = file.get("objective")
    if isinstance(given, list | tuple):
        return dict(file) | {"objective": [filled(objective) for objective in given]}
    return dict(file) | ({"objective": filled(given)} if isinstance(given, dict) else {})


def _own_directions(metrics: Any) -> dict[str, Any]:
    if not isinstance(metrics, dict):
        return {}
    found: dict[str, Any] = {}
    for name, section in metrics.items():
        if isinstance(section, ImportMetric):
            found[name] = section.direction
        elif isinstance(section, dict):
            found[name] = section.get("direction")
    return found
