import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.tracking.mlflow.pages.links import view_link
from kdsearch.tracking.mlflow.pages.shown import choose_shown
from kdsearch.tracking.mlflow.pages.views import Students, view_key, view_states, view_tags
from kdsearch.tracking.mlflow.sink import MlflowSink

MakeRecord = Callable[..., TrialRecord]
TAG = "mlflow.sharedViewState."
NAMES = ["1 Search", "1b Search, hard labels", "2 Confirmed", "3 Learning curves"]


def experiment_of(client: MlflowClient) -> Experiment:
    experiment = client.get_experiment_by_name("temp-alpha")
    assert experiment is not None
    return experiment


def states_of(client: MlflowClient) -> dict[str, dict[str, Any]]:
    """What MLflow's pages would read, by the name in their menu."""
    states = {}
    for key, value in experiment_of(client).tags.items():
        if key.startswith(TAG):
            view = json.loads(value)
            packed = base64.b64decode(view["state"].removeprefix("deflate;"))
            states[view["name"]] = json.loads(zlib.decompress(packed))
    return states


def found_by(client: MlflowClient, state: dict[str, Any]) -> set[str]:
    runs = client.search_runs([experiment_of(client).experiment_id], state["searchFilter"])
    return {run.info.run_name for run in runs}


def test_views_are_on_the_experiment_and_find_their_runs(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    baseline = {"temperature": None, "ensemble_size": None, "alpha": 1.0, "arm": "baseline"}
    records = [
        make_record(),
        make_record(trial=13, state="PRUNED"),
        make_record(trial=14, **baseline),
        make_record(stage="confirm", replicate=1, searched=2),
        make_record(stage="confirm", replicate=1, trial=14, searched=1, **baseline),
    ]
    for record in records:
        sink.log_trial(record, model=None)
    sink.arrange(records)
    states = states_of(client)
    assert list(states) == NAMES
    found = [found_by(client, state) for state in states.values()]
    confirmed = {"c012.1 w16 T4.4 a0.73", "b014.1 w16"}
    assert found == [{"t012 w16 T4.4 a0.73"}, {"b014 w16"}, confirmed, confirmed]


def test_the_charts_of_the_search(config: StudyConfig) -> None:
    state = view_states(config, Students("parent"))["search"]
    drawn = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
    assert [chart["type"] for chart in drawn[:3]] == ["PARALLEL", "CONTOUR", "SCATTER"]
    axes = ["log10_temperature", "alpha", "log10_learning_rate", "width"]
    assert drawn[0]["selectedParams"] == axes
    assert [drawn[1][axis]["key"] for axis in ("xaxis", "yaxis")] == axes[:2]
    sections = {section["uuid"]: section for section in state["compareRunSections"]}
    assert sections[drawn[0]["metricSectionId"]]["columns"] == 1
    assert {chart["metricSectionId"] for chart in drawn} == set(sections)
    assert [c for c in state["selectedColumns"] if c.startswith("metrics.")] == [
        "metrics.`objective`"
    ]
    labels = view_states(config, Students("parent"))["labels"]
    parallel = labels["compareRunCharts"][0]
    assert parallel["selectedParams"] == ["log10_learning_rate", "width"]
    assert "CONTOUR" not in {chart["type"] for chart in labels["compareRunCharts"]}


def test_no_metric_of_a_run_gets_a_chart_that_nobody_asked_for(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord, config: StudyConfig
) -> None:
    record = make_record(stage="confirm", replicate=1)
    record = record.model_copy(update={"test": record.val})
    run = client.get_run(sink.log_trial(record, model=None))
    assert "test/accuracy" in run.data.metrics
    for state in view_states(config, Students("parent")).values():
        known = {chart.get("metricKey") for chart in state["compareRunCharts"]}
        assert set(run.data.metrics) <= known


def test_groups_are_arm_and_what_the_study_asks_about(config: StudyConfig) -> None:
    states = view_states(config, Students("parent"))
    for kind in ("confirmed", "curves"):
        keys = [key["groupByData"] for key in states[kind]["groupBy"]["groupByKeys"]]
        assert keys == ["arm", "width"]
    assert "groupBy" not in states["search"]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_best_comes_first(config: StudyConfig, direction: str) -> None:
    objective = config.objective[0].model_copy(update={"direction": direction})
    changed = config.model_copy(update={"objective": (objective,)})
    state = view_states(changed, Students("parent"))["search"]
    assert state["orderByAsc"] == (direction == "minimize")


def test_a_page_holds_every_width_of_a_large_study(
    config: StudyConfig, make_record: MakeRecord
) -> None:
    evaluation = make_record().val
    assert evaluation is not None
    records = [
        make_record(
            trial=number,
            stratum={"width": 8 * (1 + number % 6)},
            val=evaluation.model_copy(update={"accuracy": 0.1 * (number % 6) + number / 10_000}),
        )
        for number in range(150)
    ]
    shown = choose_shown(config, records)
    assert shown.marked == {("search", "distilled")}
    kept = [record for record in records if record.key in shown.keys]
    assert len(kept) == 100
    counts = dict.fromkeys(range(8, 49, 8), 0)
    for record in kept:
        counts[int(record.stratum["width"])] += 1
    assert set(counts.values()) == {16, 17}
    worst = min(r.trial for r in kept if r.stratum == {"width": 8})
    left_out = [r.trial for r in records if r.stratum == {"width": 8} and r not in kept]
    assert max(left_out) < worst  # of each width the best
    assert choose_shown(config, records[:100]).marked == set()


def test_of_two_candidates_the_chosen_one_is_shown(
    sink: MlflowSink, client: MlflowClient, config: StudyConfig, make_record: MakeRecord
) -> None:
    val = make_record().val
    assert val is not None
    better, worse = (val.model_copy(update={"accuracy": share}) for share in (0.9, 0.8))
    runs = [
        make_record(
            stage="confirm", trial=trial, replicate=replicate, searched=9, candidates=(1, 2),
            val=better if trial == 2 else worse,
        )
        for trial in (1, 2) for replicate in (1, 2)
    ]  # fmt: skip
    for record in runs:
        sink.log_trial(record, model=None)
    for _ in range(2):
        sink.arrange(runs)
        found = found_by(client, states_of(client)["2 Confirmed"])
        assert found == {"c002.1 w16 T4.4 a0.73", "c002.2 w16 T4.4 a0.73"}
    sink.arrange([runs[0], *runs[2:]])  # the first candidate has fewer runs, as before
    assert found_by(client, states_of(client)["2 Confirmed"]) == found


def test_views_that_say_the_same_are_not_written_again(config: StudyConfig) -> None:
    students = Students("parent")
    first = view_tags(config, students, now_ms=1, known={})
    assert len(first) == 4
    assert view_tags(config, students, now_ms=2, known=first) == {}
    changed = view_tags(config, Students("other"), now_ms=2, known=first)
    assert {json.loads(view)["createdAt"] for view in changed.values()} == {1}
    assert len(view_tags(config, students, now_ms=1, known=dict.fromkeys(first, "no view"))) == 4
    shared = config.model_copy(
        update={"tracking": config.tracking.model_copy(update={"experiment": "all"})}
    )
    names = [
        json.loads(v)["name"] for v in view_tags(shared, students, now_ms=1, known={}).values()
    ]
    assert names == [f"temp-alpha: {name}" for name in NAMES]


def test_keys_and_links() -> None:
    assert view_key("temp-alpha") == "kdsearch-temp-alpha"  # as version 0.2 printed it
    assert view_key("a.b") != view_key("a-b")
    assert view_key("a", "curves") != view_key("a-curves")
    assert view_link("http://127.0.0.1:5000/", "3", view_key("a")) == (
        "http://127.0.0.1:5000/#/experiments/3/runs?viewStateShareKey=kdsearch-a"
        "&workflowType=machine_learning&compareRunsMode=CHART"
    )


def test_a_database_has_no_pages(sink: MlflowSink) -> None:
    assert sink.study_url() is None


def test_a_description_is_the_persons_once_there_is_one(
    sink: MlflowSink, client: MlflowClient, open_sink: Callable[[], MlflowSink]
) -> None:
    note = "mlflow.note.content"
    sink.arrange([])
    experiment = experiment_of(client)
    assert experiment.tags[note].startswith("Which temperature suits small students?\n")
    client.set_experiment_tag(experiment.experiment_id, note, "Mine.")
    sink.arrange([])
    again = open_sink()
    again.arrange([])
    assert experiment_of(client).tags[note] == "Mine."


def test_a_refusal_is_no_matter(
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("no")

    for call in ("set_experiment_tag", "set_tag", "search_runs"):
        monkeypatch.setattr(MlflowClient, call, refuse)
    sink.arrange([make_record()])
    assert states_of(client) == {}
