"""The saved view of a study: MLflow opens on charts and a table that answer its question.

MLflow keeps shared views in experiment tags, `mlflow.sharedViewState.KEY`, in a format that is not
documented (read from MLflow 3.17's own pages). So it is best effort: nothing depends on it.
"""

import base64
import json
import re
import zlib
from typing import Any
from urllib.parse import quote, urlencode

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from kdsearch.config import StudyConfig

_TAG = "mlflow.sharedViewState."
_MAX_TAG = 20_000
_COLUMN_PARAMS = ("num_params", "stage", "arm")
_COLUMN_METRICS = ("objective", "val/best_accuracy", "val/ece", "test/accuracy")


def view_key(study: str) -> str:
    """Key of a study's view within its experiment."""
    return "kdsearch-" + re.sub(r"[^A-Za-z0-9_-]", "-", study)


def study_url(base_url: str, experiment_id: str, study: str) -> str:
    """Link to a study's charts.

    Without `workflowType` MLflow 3.17 opens its pages for generative AI instead of the runs.
    """
    query = {
        "viewStateShareKey": view_key(study),
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
    }
    return f"{base_url.rstrip('/')}/#/experiments/{quote(experiment_id)}/runs?{urlencode(query)}"


def save_view(
    client: MlflowClient, experiment_id: str, config: StudyConfig, *, now_ms: int
) -> None:
    """Write the study's view, or none where the server refuses it."""
    packed = zlib.compress(json.dumps(view_state(config), sort_keys=True).encode())
    view = {
        "name": f"kdsearch: {config.name}",
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "state": "deflate;" + base64.b64encode(packed).decode(),
    }
    value = json.dumps(view)
    if len(value) > _MAX_TAG:
        return
    try:
        client.set_experiment_tag(experiment_id, _TAG + view_key(config.name), value)
    except MlflowException as error:
        if error.error_code not in {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}:
            raise


def view_state(config: StudyConfig) -> dict[str, Any]:
    """What the view shows: parallel coordinates, the objective, curves; a table, best first."""
    params = [name for name in config.space if config.space[name].role != "fixed"]
    axes = [f"log10_{name}" if config.space[name].log else name for name in params]
    columns = [f"params.`{name}`" for name in (*params, *_COLUMN_PARAMS)]
    return {
        "searchFilter": f"tags.kdsearch.kind = 'trial' AND tags.kdsearch.study = '{config.name}'",
        "orderByKey": "metrics.`objective`",
        "orderByAsc": config.objective[0].direction == "minimize",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in _COLUMN_METRICS),
            *columns,
            "tags.`kdsearch.state`",
        ],
        "runsHiddenMode": "SHOW_ALL",
        "isAccordionReordered": True,  # Or MLflow sorts the sections by name.
        "compareRunCharts": _charts(axes),
        "compareRunSections": [_section("search", "Search"), _section("curves", "Curves")],
    }


def _section(uuid: str, name: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": False,
        "deleted": False,
        "isGenerated": False,
    }


def _charts(axes: list[str]) -> list[dict[str, Any]]:
    charts: list[dict[str, Any]] = [
        {
            "type": "PARALLEL",
            "selectedParams": axes,
            "selectedMetrics": ["objective"],
            "showAllRuns": True,
        }
    ]
    charts += [
        {
            "type": "SCATTER",
            "xaxis": {"key": axis, "type": "PARAM"},
            "yaxis": {"key": "objective", "type": "METRIC"},
        }
        for axis in ("log10_num_params", *axes)
    ]
    charts.append({"type": "BAR", "metricKey": "objective"})
    charts += [
        {"type": "LINE", "metricKey": key, "selectedMetricKeys": [key], "xAxisKey": "step"}
        for key in ("objective", "val/accuracy", "val/loss", "val/agreement", "train/loss")
    ]
    for number, chart in enumerate(charts):
        chart |= {
            "uuid": f"chart-{number}",
            "metricSectionId": "curves" if chart["type"] == "LINE" else "search",
            "deleted": False,
            "isGenerated": False,
            "runsCountToCompare": 100,
        }
    return charts
