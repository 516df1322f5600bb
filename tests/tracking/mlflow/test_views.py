import base64
import json
import zlib

import pytest
from mlflow import MlflowClient

from kdsearch.config import StudyConfig
from kdsearch.tracking.mlflow.sink import MlflowSink
from kdsearch.tracking.mlflow.views import study_url, view_state


def test_view_is_on_the_experiment(
    sink: MlflowSink, client: MlflowClient, config: StudyConfig
) -> None:
    experiment = client.get_experiment_by_name("temp-alpha")
    assert experiment is not None
    view = json.loads(experiment.tags["mlflow.sharedViewState.kdsearch-temp-alpha"])
    packed = view["state"].removeprefix("deflate;")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert state == view_state(config)
    assert state["compareRunCharts"][0]["selectedParams"] == [
        "log10_temperature",
        "alpha",
        "log10_learning_rate",
        "width",
    ]
    runs = client.search_runs([experiment.experiment_id], state["searchFilter"])
    assert runs == []


def test_study_url(sink: MlflowSink) -> None:
    url = study_url("http://127.0.0.1:5000/", "3", "a.b")
    assert url == (
        "http://127.0.0.1:5000/#/experiments/3/runs?viewStateShareKey=kdsearch-a-b"
        "&workflowType=machine_learning&compareRunsMode=CHART"
    )
    assert sink.study_url().startswith("http://127.0.0.1:5000/#/experiments/1/")


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_best_comes_first(config: StudyConfig, direction: str) -> None:
    objective = config.objective[0].model_copy(update={"direction": direction})
    state = view_state(config.model_copy(update={"objective": (objective,)}))
    assert state["orderByAsc"] == (direction == "minimize")
