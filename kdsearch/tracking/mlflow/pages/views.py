"""The saved views of a study: MLflow opens on charts and a table that answer its question.

MLflow keeps shared views in experiment tags, `mlflow.sharedViewState.KEY`, in a format that is not
documented (read from MLflow 3.17's own pages). So it is best effort: nothing depends on it.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kdsearch.config import Scalar, SearchParameter, StudyConfig, applies_to_baseline
from kdsearch.tracking.mlflow.labels import PARENT, SHOWN
from kdsearch.tracking.mlflow.metrics import metric_keys
from kdsearch.tracking.mlflow.pages import charts
from kdsearch.tracking.mlflow.pages.charts import Axis, Section

Kind = Literal["search", "labels", "confirmed", "curves"]
NAMES: Mapping[Kind, str] = {
    "search": "1 Search",
    "labels": "1b Search, hard labels",
    "confirmed": "2 Confirmed",
    "curves": "3 Learning curves",
}
_TAG = "mlflow.sharedViewState."
_MAX_TAG = 20_000
_TALL = 560
_OBJECTIVE = "objective"
_SIZE = Axis("log10_num_params")


@dataclass(frozen=True)
class Students:
    """Which runs a study has in MLflow, as far as its views must know."""

    parent_id: str
    """The study's own run."""
    marked: Collection[tuple[str, str]] = ()
    """Stages and arms of which only runs tagged `kdsearch.shown` are to be seen."""
    is_confirmed: bool = False
    """Whether any run of the confirm stage is there."""

    def search_filter(self, stage: str, arm: str | None = None) -> str:
        """What MLflow's search finds the complete runs of a stage (and arm) by."""
        conditions = [f"tags.`{PARENT}` = '{self.parent_id}'", f"tags.kdsearch.stage = '{stage}'"]
        if arm is not None:
            conditions.append(f"tags.kdsearch.arm = '{arm}'")
        conditions.append("tags.kdsearch.state = 'COMPLETE'")
        if any(s == stage and arm in (a, None) for s, a in self.marked):
            conditions.append(f"tags.{SHOWN} = 'true'")
        return " AND ".join(conditions)


def view_key(study: str, kind: Kind = "search") -> str:
    """Key of a study's view within its experiment.

    That of the search has no ending: links that an earlier version printed still open.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]", "-", study)
    if slug != study:  # `a.b` and `a-b` may share an experiment.
        slug += "-" + hashlib.sha256(study.encode()).hexdigest()[:8]
    return f"kdsearch-{slug}" + ("" if kind == "search" else f".{kind}")


def view_tags(
    config: StudyConfig, students: Students, *, now_ms: int, known: Mapping[str, str]
) -> dict[str, str]:
    """The experiment's tags that hold the study's views.

    Args:
        config: The study.
        students: Its runs.
        now_ms: Milliseconds since 1970.
        known: Tags that the experiment has; views that are in them unchanged are left out.
    """
    prefix = "" if config.experiment == config.name else f"{config.name}: "
    tags: dict[str, str] = {}
    for kind, state in view_states(config, students).items():
        key = _TAG + view_key(config.name, kind)
        packed = zlib.compress(json.dumps(state, sort_keys=True).encode())
        view: dict[str, object] = {
            "name": prefix + NAMES[kind],
            "createdAt": now_ms,
            "updatedAt": now_ms,
            "state": "deflate;" + base64.b64encode(packed).decode(),
        }
        before = _parsed(known.get(key))
        view["createdAt"] = before.get("createdAt", now_ms)
        value = json.dumps(view)
        if len(value) <= _MAX_TAG and before != view | {"updatedAt": before.get("updatedAt")}:
            tags[key] = value
    return tags


def _parsed(tag: str | None) -> dict[str, object]:
    try:
        tree = json.loads(tag or "{}")
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def view_kinds(config: StudyConfig) -> list[Kind]:
    """The views that a study has."""
    kinds: dict[Kind, bool] = {
        "search": True,
        "labels": config.confirm.baseline,
        "confirmed": config.confirm.replicates > 0,
        "curves": True,
    }
    return [kind for kind, has in kinds.items() if has]


def view_states(config: StudyConfig, students: Students) -> dict[Kind, dict[str, Any]]:
    """What each view of a study shows: which runs, which charts, which columns."""
    makers: dict[Kind, Callable[[], dict[str, Any]]] = {
        "search": lambda: _search(config, students, "distilled"),
        "labels": lambda: _search(config, students, "baseline"),
        "confirmed": lambda: _confirmed(config, students),
        "curves": lambda: _curves(config, students),
    }
    return {kind: makers[kind]() for kind in view_kinds(config)}


def _search(config: StudyConfig, students: Students, arm: str) -> dict[str, Any]:
    space = {
        name: parameter
        for name, parameter in config.space.items()
        if parameter.role != "fixed" and (arm == "distilled" or applies_to_baseline(name))
    }
    axes = {name: _axis(name, parameter) for name, parameter in space.items()}
    numeric = [name for name, parameter in space.items() if _is_numeric(parameter)]
    goal = _objective_words(config)
    landscape = []
    if {"temperature", "alpha"} <= set(numeric):
        landscape.append(charts.contour(axes["temperature"], axes["alpha"], _OBJECTIVE))
    landscape.append(charts.scatter(_SIZE, _OBJECTIVE))
    place = "Temperature, alpha and size" if len(landscape) > 1 else "Size"
    # The width is in the size, whose axis is the better one.
    alone = [name for name in numeric if name != "width"]
    by_one = [charts.scatter(Axis(axes[name]), _OBJECTIVE) for name in alone]
    sections = [
        # MLflow gives a chart no title of its own, so the headings say what is what.
        Section(
            "Settings: each line is a student, its colour the objective",
            1,
            [charts.parallel(list(axes.values()), _OBJECTIVE)],
            _TALL,
        ),
        Section(f"{place}: {goal} is the objective", len(landscape), landscape),
        Section("One setting at a time", 2, by_one, 360),
    ]
    return _state(
        config,
        students.search_filter("search", arm),
        sections,
        metric=_OBJECTIVE,
        params=list(space),
    )


def _confirmed(config: StudyConfig, students: Students) -> dict[str, Any]:
    metric = config.headline
    key = f"test/{metric.name}"
    scientific = config.parameters("scientific")
    asked = [n for n, p in scientific.items() if n != "width" and _is_numeric(p)]
    others = [f"test/{name}" for name in ("agreement", "loss") if name != metric.name]
    sections = [
        Section(
            f"Test {metric.words} by size: means of the replicates",
            1,
            [charts.scatter(_SIZE, key)],
            _TALL,
        ),
        Section("By setting", 1, [charts.scatter(Axis(name), key) for name in asked]),
        Section("Other metrics", 2, [charts.scatter(_SIZE, other) for other in others]),
    ]
    state = _state(
        config,
        students.search_filter("confirm"),
        sections,
        metric=key,
        params=["arm", *scientific, *config.parameters("nuisance"), "num_params"],
    )
    return state | _grouped(("arm", *scientific))


def _curves(config: StudyConfig, students: Students) -> dict[str, Any]:
    scientific = config.parameters("scientific")
    keys = ["objective", "val/accuracy", "val/loss", "val/agreement", "train/loss"]
    if config.objective[0].metric == "val_accuracy":
        del keys[0]  # It is the same curve.
    sections = [Section("Means by epoch", 2, [charts.line(key) for key in keys])]
    # Of both arms' confirmed students once there are any; until then of one arm's search, for the
    # two together are more than a page holds.
    which = ("confirm", None) if students.is_confirmed else ("search", "distilled")
    state = _state(
        config,
        students.search_filter(*which),
        sections,
        metric=_OBJECTIVE,
        params=["arm", *scientific],
    )
    return state | _grouped(("arm", *scientific))


def _state(
    config: StudyConfig,
    search_filter: str,
    sections: list[Section],
    *,
    metric: str,
    params: list[str],
) -> dict[str, Any]:
    own = config.headline if metric.startswith("test/") else config.objective[0]
    return {
        "searchFilter": search_filter,
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": own.direction == "minimize",
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        # One metric only: with more, MLflow pushes the params off the screen.
        "selectedColumns": [f"metrics.`{metric}`", *(f"params.`{name}`" for name in params)],
        "runsHiddenMode": "SHOW_ALL",
        "runListHidden": True,
        "hideEmptyCharts": True,
        **charts.compared(
            [section for section in sections if section.charts],
            metrics=metric_keys(config.metric_table),
        ),
    }


def _grouped(names: tuple[str, ...]) -> dict[str, Any]:
    keys = [{"mode": "param", "groupByData": name} for name in names]
    return {
        "groupBy": {"aggregateFunction": "average", "groupByKeys": keys},
        "useGroupedValuesInCharts": True,
    }


def _axis(name: str, parameter: SearchParameter) -> str:
    return f"log10_{name}" if parameter.log else name


def _is_numeric(parameter: SearchParameter) -> bool:
    values: tuple[Scalar, ...] = parameter.values or ()
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def _objective_words(config: StudyConfig) -> str:
    name = config.objective[0].metric
    metric = config.metric_table.get(name.removeprefix("val_"))
    return name.replace("_", " ") if metric is None else f"validation {metric.words}"
