import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.pytorch
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kdsearch.config import StudyConfig, load_study
from kdsearch.results import Evaluation, TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.tracking import DatasetSummary, LoggableModel, Sink, TrackingUnavailableError
from kdsearch.tracking.mlflow.sink import MlflowSink

pytestmark = pytest.mark.slow

MakeRecord = Callable[..., TrialRecord]
Evaluate = Callable[[float], Evaluation]
OpenSink = Callable[..., MlflowSink]
STUDY_ID = "0123abcd"
COMMAND = "kdsearch study run studies/temp_alpha.yaml"


def runs_of(client: MlflowClient, kind: str) -> list[Run]:
    experiment = client.get_experiment_by_name("temp-alpha")
    assert experiment is not None
    return client.search_runs([experiment.experiment_id], f"tags.`kdsearch.kind` = '{kind}'")


def history(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client.get_metric_history(run_id, name)]


def test_is_a_sink(sink: MlflowSink) -> None:
    checked: Sink = sink
    assert checked is sink


def test_trial_run_holds_everything(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    run = client.get_run(sink.log_trial(make_record(), model=None))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "t012 w16 T4.4 a0.73"
    assert run.info.end_time - run.info.start_time == 1500
    params = run.data.params
    assert params["temperature"] == "4.4"
    assert params["log10_learning_rate"] == "-3"
    assert params["log10_temperature"] == "0.643"
    assert "log10_alpha" not in params
    assert (params["num_params"], params["log10_num_params"]) == ("1000", "3")
    assert (params["seed"], params["stage"], params["arm"]) == ("7", "search", "distilled")
    assert not {"epochs", "best_epoch"} & set(params)  # outcomes
    assert run.data.metrics["train/best_epoch"] == 2
    tags = run.data.tags
    assert json.loads(tags["kdsearch.settings"]) == make_record().settings
    assert tags["kdsearch.key"] == f"{STUDY_ID}/search/distilled/12/0"
    assert tags["kdsearch.optuna_trial"] == "5"
    assert tags["mlflow.source.name"] == COMMAND
    assert tags["mlflow.user"]
    assert run.inputs.dataset_inputs[0].dataset.digest == "f" * 36
    (parent,) = runs_of(client, "study")
    assert tags["mlflow.parentRunId"] == parent.info.run_id


def test_metrics_are_curves_with_the_objective_first(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    run_id = sink.log_trial(make_record(), model=None)
    metrics = client.get_run(run_id).data.metrics
    assert next(iter(metrics)) == "objective"
    assert history(client, run_id, "val/accuracy") == [(1, 0.5), (2, 0.9), (3, 0.8)]
    # The last objective is the kept weights' (best epoch 2), as the search was told.
    assert history(client, run_id, "objective") == [(1, 0.5), (2, 0.9), (3, 0.9)]
    assert history(client, run_id, "train/loss") == [(1, 1.0), (2, 0.5), (3, 0.333333)]
    assert history(client, run_id, "val/ece") == [(3, 0.0625)]
    assert metrics["val/best_accuracy"] == 0.9
    times = [m.timestamp for m in client.get_metric_history(run_id, "val/loss")]
    assert (times[1] - times[0], times[2] - times[1]) == (500, 500)


def test_logging_twice_makes_one_run_and_no_second_point(
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    open_sink: OpenSink,
    mlp: LoggableModel,
) -> None:
    first = sink.log_trial(make_record(), model=mlp)
    assert sink.log_trial(make_record(mlflow_run_id=first), model=mlp) == first
    later = open_sink()
    assert later.log_trial(make_record(), model=mlp) == first
    (run,) = runs_of(client, "trial")
    assert len(run.outputs.model_outputs) == 1
    assert len(history(client, first, "objective")) == 3
    assert len(runs_of(client, "study")) == 1


def test_half_written_run_is_completed(
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    open_sink: OpenSink,
    mlp: LoggableModel,
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    steps = ("create_logged_model", "finalize_logged_model", "log_outputs", "log_batch")
    for trial, step in enumerate((*steps, "set_terminated")):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, step, killed)
            with pytest.raises(KeyboardInterrupt):
                sink.log_trial(make_record(trial=trial), model=mlp)
    half = {run.info.run_id for run in runs_of(client, "trial")}
    assert {run.info.status for run in runs_of(client, "trial")} == {"RUNNING"}

    later = open_sink()
    ids = {later.log_trial(make_record(trial=trial), model=mlp) for trial in range(5)}
    assert ids == half
    for run in runs_of(client, "trial"):
        assert run.info.status == "FINISHED"
        assert history(client, run.info.run_id, "objective") == [(1, 0.5), (2, 0.9), (3, 0.9)]
        models = client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
        )
        assert [m.model_id for m in models] == [run.data.tags["kdsearch.model_id"]]
        assert [m.model_id for m in run.outputs.model_outputs] == [models[0].model_id]


def test_retrained_trial_replaces_its_run(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    first = sink.log_trial(make_record(state="FAIL", failure="killed", history=()), model=None)
    second = sink.log_trial(make_record(), model=None)
    assert second != first
    assert [run.info.run_id for run in runs_of(client, "trial")] == [second]


def test_pruned_failed_and_running(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    pruned = client.get_run(
        sink.log_trial(make_record(trial=1, state="PRUNED", epochs=3), model=None)
    )
    assert pruned.info.status == "FINISHED"
    assert pruned.data.tags["optuna.state"] == "PRUNED"
    assert pruned.data.tags["kdsearch.pruned_at"] == "3"
    failed = client.get_run(
        sink.log_trial(
            make_record(
                trial=2, state="FAIL", epochs=0, history=(), val=None, failure="loss became NaN"
            ),
            model=None,
        )
    )
    assert failed.info.status == "FAILED"
    assert failed.data.tags["kdsearch.failure"] == "loss became NaN"
    assert "objective" not in failed.data.metrics
    with pytest.raises(ValueError, match="has not ended"):
        sink.log_trial(make_record(state="RUNNING"), model=None)


def test_names_of_confirm_and_baseline(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord, evaluation: Evaluate
) -> None:
    confirm = make_record(stage="confirm", replicate=1, test=evaluation(0.875))
    run = client.get_run(sink.log_trial(confirm, model=None))
    assert run.info.run_name == "c012.1 w16 T4.4 a0.73"
    assert run.data.metrics["test/accuracy"] == 0.875
    baseline = make_record(
        arm="baseline", temperature=None, ensemble_size=None, alpha=1.0, settings={"width": 16}
    )
    run = client.get_run(sink.log_trial(baseline, model=None))
    assert run.info.run_name == "b012 w16"
    assert "temperature" not in run.data.params


def test_infinite_loss_is_left_out(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord
) -> None:
    record = make_record()
    bad = record.history[-1].model_copy(
        update={"val_loss": float("inf"), "train_loss": float("nan")}
    )
    record = record.model_copy(update={"history": (*record.history[:-1], bad)})
    run_id = sink.log_trial(record, model=None)
    assert history(client, run_id, "val/loss") == [(1, 0.5), (2, 0.25)]
    assert len(history(client, run_id, "train/loss")) == 2


def test_twin_of_a_repeated_request_is_removed(
    sink: MlflowSink, client: MlflowClient, make_record: MakeRecord, open_sink: OpenSink
) -> None:
    run = client.get_run(sink.log_trial(make_record(), model=None))
    twin_tags = {k: v for k, v in run.data.tags.items() if k != "kdsearch.content"}
    client.create_run(run.info.experiment_id, tags=twin_tags)
    assert len(runs_of(client, "trial")) == 2
    assert open_sink().log_trial(make_record(), model=None) == run.info.run_id
    assert [r.info.run_id for r in runs_of(client, "trial")] == [run.info.run_id]


def test_run_deleted_by_hand_is_made_again(
    sink: MlflowSink,
    client: MlflowClient,
    bank: TeacherBankRecord,
    teacher: TeacherRecord,
    evaluation: Evaluate,
) -> None:
    first = sink.log_teacher(bank, teacher, model=None)
    client.delete_run(first)
    tested = teacher.model_copy(update={"test": evaluation(0.9)})
    with pytest.raises(TrackingUnavailableError):
        sink.log_teacher(bank, tested, model=None)
    assert sink.log_teacher(bank, tested, model=None) != first


def test_teacher_gets_its_test_results_later(
    sink: MlflowSink,
    client: MlflowClient,
    bank: TeacherBankRecord,
    teacher: TeacherRecord,
    mlp: LoggableModel,
    evaluation: Evaluate,
) -> None:
    run_id = sink.log_teacher(bank, teacher, model=mlp)
    tested = teacher.model_copy(update={"test": evaluation(0.9375)})
    assert sink.log_teacher(bank, tested, model=mlp) == run_id
    (run,) = runs_of(client, "teacher")
    assert run.data.metrics["test/accuracy"] == 0.9375
    assert history(client, run_id, "val/accuracy") == [(40, 0.95)]
    assert len(run.outputs.model_outputs) == 1


def test_study_run_from_open_to_close(
    sink: MlflowSink,
    client: MlflowClient,
    tmp_path: Path,
    open_sink: OpenSink,
    config: StudyConfig,
) -> None:
    for step, value in ((0, 0.5), (3, 0.75), (3, 0.75)):
        sink.log_best(step=step, value=value)
    sink.close_study(state="interrupted")
    (run,) = runs_of(client, "study")
    assert run.info.status == "KILLED"
    assert "Which temperature" in run.data.tags["mlflow.note.content"]

    later = open_sink()
    assert client.get_run(run.info.run_id).info.status == "RUNNING"
    later.log_best(step=3, value=0.75)
    assert history(client, run.info.run_id, "study/best") == [(0, 0.5), (3, 0.75)]
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("<p>done</p>")
    summary = {"champion/test_accuracy": 0.9, "saturation": float("nan")}
    for _ in range(2):
        later.log_report(report, summary=summary, markdown="# Found")
    later.close_study(state="finished")
    (run,) = runs_of(client, "study")
    assert run.info.status == "FINISHED"
    links, text = run.data.tags["mlflow.note.content"].split("\n\n")
    assert text == "# Found"
    assert links.startswith("Charts: [1 Search](#/experiments/")
    assert run.data.metrics["champion/test_accuracy"] == 0.9
    assert "saturation" not in run.data.metrics
    assert [f.path for f in client.list_artifacts(run.info.run_id, "report")] == [
        "report/report.html"
    ]
    study = tmp_path / client.download_artifacts(run.info.run_id, "study.yaml", str(tmp_path))
    assert load_study(study) == config
    with pytest.raises(NotADirectoryError):
        later.log_report(tmp_path / "none", summary={}, markdown="")


def test_open_comes_first(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="open_study"):
        MlflowSink().log_best(step=0, value=0.0)


def test_says_nothing(
    folder: Path,
    make_record: MakeRecord,
    capfd: pytest.CaptureFixture[str],
    open_sink: OpenSink,
    mlp: LoggableModel,
) -> None:
    (folder / "mlflow.db").unlink()  # Making the database is the noisiest part.
    sink = open_sink()
    sink.log_trial(make_record(), model=mlp)
    sink.register_champion(make_record(), tags={})
    sink.close_study(state="finished")
    mlflow.pytorch.load_model("models:/temp-alpha@champion")
    assert capfd.readouterr() == ("", "")
    assert sys.modules["mlflow"]


def test_no_secret_is_written(
    folder: Path,
    config: StudyConfig,
    dataset: DatasetSummary,
    make_record: MakeRecord,
    tmp_path: Path,
    mlp: LoggableModel,
) -> None:
    secret = "hunter2"
    sink = MlflowSink()
    sink.open_study(
        config,
        study_id=STUDY_ID,
        command=f"kdsearch study run a.yaml --set storage=postgresql://me:{secret}@db/x",
        dataset=dataset,
    )
    failure = f"cannot reach https://u:{secret}@host/path?token={secret}&b=1"
    record = make_record(state="FAIL", failure=failure)
    sink.log_trial(record, model=mlp)
    sink.register_champion(record, tags={"command": f"postgresql://me:{secret}@db/x"})
    report = folder / "report"
    report.mkdir()
    sink.log_report(report, summary={}, markdown=f"password={secret}")
    sink.close_study(state="failed")  # Folds the write-ahead log into the file.
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_artifacts_lie_beside_the_database(sink: MlflowSink, folder: Path) -> None:
    report = folder / "report"
    report.mkdir()
    (report / "a.txt").write_text("a")
    sink.log_report(report, summary={}, markdown="")
    assert len(list((folder / "mlruns" / "temp-alpha").rglob("a.txt"))) == 1


def test_two_studies_of_one_name_do_not_mix(
    sink: MlflowSink,
    client: MlflowClient,
    config: StudyConfig,
    dataset: DatasetSummary,
    make_record: MakeRecord,
) -> None:
    first = sink.log_trial(make_record(), model=None)
    other = MlflowSink()
    other.open_study(config, study_id="other", command=COMMAND, dataset=dataset)
    assert other.log_trial(make_record(), model=None) != first
    assert len(runs_of(client, "study")) == 2


def test_dataset_summary_is_frozen(dataset: DatasetSummary) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "x"  # type: ignore[misc]


def test_knows_what_it_holds_and_what_a_deleted_database_has_lost(
    sink: MlflowSink, open_sink: OpenSink, make_record: MakeRecord, bank: TeacherBankRecord,
    folder: Path,
) -> None:  # fmt: skip
    record, teacher = make_record(), bank.members[0]
    assert not sink.has_trial(record)
    sink.log_trial(record, model=None)
    sink.log_teacher(bank, teacher, model=None)
    again = open_sink()
    assert again.has_trial(record)
    assert not again.has_trial(make_record(trial=13))
    assert again.has_teacher(bank, teacher)
    assert not again.has_teacher(bank.model_copy(update={"key": "bank2"}), teacher)
    elsewhere = open_sink(f"sqlite:///{folder / 'other.db'}")
    assert not elsewhere.has_trial(record)
    assert not elsewhere.has_teacher(bank, teacher)
