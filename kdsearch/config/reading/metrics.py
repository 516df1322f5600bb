"""Whether the metrics that a study file names exist, and are turned the right way."""

from collections.abc import Iterator, Mapping

from kdsearch.config.metric import (
    COUNTS,
    METRICS,
    VALIDATION,
    ImportMetric,
    metric_name,
    objective_direction,
    table_with,
)
from kdsearch.config.problem import Problem, not_among
from kdsearch.config.saturation import SaturationConfig
from kdsearch.config.search import Objective

Problems = Iterator[Problem]


def own_metric_problems(metrics: Mapping[str, ImportMetric]) -> Problems:
    """Names that no metric of the user's can have."""
    for name in metrics:
        if metric_name(name) in METRICS:
            yield Problem(
                f"metrics.{name}", "is a metric of kdsearch's own; allowed is another name"
            )
        elif not (name.isascii() and name.isidentifier() and name.islower()):
            yield Problem(
                f"metrics.{name}",
                "is not a name; allowed are small letters, digits and '_', such as recall_at_5",
            )


def objective_problems(
    objectives: tuple[Objective, ...], metrics: Mapping[str, ImportMetric]
) -> Problems:
    """Objectives that are not known, are given twice or are turned the wrong way."""
    own = {name: section.direction for name, section in metrics.items()}
    allowed = [VALIDATION + name for name in table_with(metrics)] + list(COUNTS)
    seen: set[str] = set()
    for index, objective in enumerate(objectives):
        key = f"objective.{index}" if len(objectives) > 1 else "objective"
        metric, best = objective.metric, objective_direction(objective.metric, own)
        if best is None:
            yield Problem(f"{key}.metric", not_among(metric, allowed))
        elif metric in seen:
            yield Problem(f"{key}.metric", f"{metric} is already an objective; give it once")
        elif objective.direction != best:
            yield Problem(
                f"{key}.direction",
                f"nobody wants to {objective.direction} {metric}; allowed is {best}",
            )
        seen.add(metric)


def headline_problems(study: SaturationConfig, metrics: Mapping[str, ImportMetric]) -> Problems:
    """A headline metric that is not known."""
    known = table_with(metrics)
    if study.metric not in known:
        yield Problem("study.metric", not_among(study.metric, known))
