"""Charts of a saved view, in the words of MLflow's own pages (read from those of 3.17)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MAX_RUNS = 100
"""What one page of MLflow loads, so the most that its charts can show."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows."""

    key: str
    """Of the param or metric."""
    is_metric: bool = False

    def as_json(self) -> dict[str, str]:
        """As MLflow keeps it."""
        return {"key": self.key, "type": "METRIC" if self.is_metric else "PARAM"}


@dataclass(frozen=True)
class Section:
    """Some charts under one heading."""

    title: str
    columns: int
    """Charts side by side."""
    charts: Sequence[dict[str, Any]]
    height: int = 440
    """Of each chart, pixels."""


def parallel(params: Sequence[str], metric: str) -> dict[str, Any]:
    """Parallel coordinates: one line a run through its params to a metric."""
    return {
        "type": "PARALLEL",
        "selectedParams": list(params),
        "selectedMetrics": [metric],
        "showAllRuns": True,
    }


def contour(x: str, y: str, metric: str) -> dict[str, Any]:
    """A metric over two params."""
    return {
        "type": "CONTOUR",
        "xaxis": Axis(x).as_json(),
        "yaxis": Axis(y).as_json(),
        "zaxis": Axis(metric, is_metric=True).as_json(),
    }


def scatter(x: Axis, metric: str) -> dict[str, Any]:
    """A metric over one axis."""
    return {
        "type": "SCATTER",
        "xaxis": x.as_json(),
        "yaxis": Axis(metric, is_metric=True).as_json(),
    }


def bar(metric: str) -> dict[str, Any]:
    """A metric, one bar a run or group."""
    return {"type": "BAR", "metricKey": metric}


def line(metric: str) -> dict[str, Any]:
    """A metric over the epochs."""
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": False,
    }


def compared(sections: Sequence[Section], *, metrics: Iterable[str]) -> dict[str, Any]:
    """The part of a view's state that says which charts there are.

    Args:
        sections: What is to be seen.
        metrics: Every metric that the runs may have. For each without a chart, MLflow would add
            one, 30 of them for a page of runs; for a chart that was deleted it does not.
    """
    charts: list[dict[str, Any]] = [
        chart
        | {
            "uuid": f"kdsearch-{place}-{number}",
            "metricSectionId": f"kdsearch-{place}",
            "deleted": False,
            "isGenerated": False,
            "runsCountToCompare": MAX_RUNS,
        }
        for place, section in enumerate(sections)
        for number, chart in enumerate(section.charts)
    ]
    drawn = {chart.get("metricKey") for chart in charts}
    charts += [
        bar(metric) | {"uuid": f"kdsearch-without-{number}", "deleted": True, "isGenerated": False}
        for number, metric in enumerate(metrics)
        if metric not in drawn
    ]
    return {
        "compareRunCharts": charts,
        "compareRunSections": [
            {
                "uuid": f"kdsearch-{place}",
                "name": section.title,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": False,
                "columns": section.columns,
                "cardHeight": section.height,
            }
            for place, section in enumerate(sections)
        ],
        "isAccordionReordered": True,  # Or MLflow sorts the sections by name.
    }
