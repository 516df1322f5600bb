"""What every sink must do: nothing twice, and nothing lost when it is called again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kdsearch.config import StudyConfig
from kdsearch.results import (
    EpochMetrics,
    Evaluation,
    TeacherBankRecord,
    TeacherRecord,
    TrialRecord,
)
from kdsearch.testing.small_study import small_study
from kdsearch.tracking import DatasetSummary, LoggableModel, Sink, StudyState

MakeSink = Callable[[], Sink]
STUDY_ID = "0123abcd"


class SinkContract:
    """Subclass it and give it a fixture `make_sink`: each call is another process's new sink.

    All sinks of one test write to one store, which is empty at its beginning.
    """

    @pytest.fixture
    def make_sink(self) -> MakeSink:
        """Makes the sink under test."""
        raise NotImplementedError

    @pytest.fixture
    def model(self) -> LoggableModel:
        """A trained student, on raw inputs [B, 4]."""
        import torch

        torch.manual_seed(0)
        return LoggableModel(torch.nn.Sequential(torch.nn.Linear(4, 3)), (4,))

    @pytest.fixture
    def opened(self, make_sink: MakeSink) -> MakeSink:
        """Sinks that have opened the study."""

        def make() -> Sink:
            sink = make_sink()
            open_study(sink)
            return sink

        return make

    def test_a_study_is_opened_once(self, make_sink: MakeSink) -> None:
        """The next process finds its run."""
        first = make_sink()
        run_id = open_study(first)
        assert open_study(first) == run_id
        assert open_study(make_sink()) == run_id

    def test_a_student_is_logged_once(self, opened: MakeSink, model: LoggableModel) -> None:
        """By one process or by the next one."""
        sink = opened()
        run_id = sink.log_trial(student(), model=model)
        assert sink.log_trial(student(mlflow_run_id=run_id), model=model) == run_id
        assert opened().log_trial(student(), model=model) == run_id
        assert sink.log_trial(student(trial=2), model=None) != run_id or run_id is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"state": "PRUNED", "epochs": 1},
            {"state": "FAIL", "epochs": 0, "history": (), "val": None, "failure": "lost"},
            {"stage": "confirm", "replicate": 1},
            {"arm": "baseline", "temperature": None, "ensemble_size": None, "alpha": 1.0},
        ],
        ids=["pruned", "failed", "confirm", "baseline"],
    )
    def test_every_kind_of_student_is_taken(
        self, opened: MakeSink, changes: dict[str, object]
    ) -> None:
        """Whatever its stage, arm and state."""
        sink = opened()
        assert sink.log_trial(student(**changes), model=None) == sink.log_trial(
            student(**changes), model=None
        )

    def test_a_student_that_runs_is_refused(self, opened: MakeSink) -> None:
        """It would have to be written again."""
        with pytest.raises(ValueError, match="has not ended"):
            opened().log_trial(student(state="RUNNING"), model=None)

    def test_what_was_logged_is_known(self, opened: MakeSink) -> None:
        """To the next process, too; what was not is not."""
        run_id = opened().log_trial(student(), model=None)
        later = opened()
        found = later.has_trial(student(mlflow_run_id=run_id))
        assert found or run_id is None
        assert not later.has_trial(student(trial=2))

    def test_a_teacher_gets_its_test_results_later(
        self, opened: MakeSink, model: LoggableModel
    ) -> None:
        """In the same run."""
        sink, before, after = opened(), bank(), bank(test=evaluation(0.9))
        run_id = sink.log_teacher(before, before.members[0], model=model)
        assert sink.log_teacher(after, after.members[0], model=model) == run_id
        logged = after.members[0].model_copy(update={"mlflow_run_id": run_id})
        assert opened().has_teacher(after, logged) or run_id is None

    def test_the_study_goes_on_as_often_as_it_likes(
        self, opened: MakeSink, model: LoggableModel, tmp_path: Path
    ) -> None:
        """Best values, champion and report may come again, and a closed study is opened again."""
        report = tmp_path / "report"
        report.mkdir()
        (report / "report.html").write_text("<p>found</p>")
        states: tuple[StudyState, ...] = ("interrupted", "failed", "finished", "finished")
        versions = set()
        for state in states:
            sink = opened()
            run_id = sink.log_trial(student(), model=model)
            sink.log_best(step=1, value=0.9)
            record = student(mlflow_run_id=run_id)
            versions.add(sink.register_champion(record, tags={"test_accuracy": "0.9"}))
            sink.log_report(report, summary={"accuracy": 0.9}, markdown="# Found")
            sink.arrange([record, student(trial=2, state="RUNNING")])
            assert sink.study_url() is None or "://" in str(sink.study_url())
            sink.close_study(state=state)
        assert len(versions) == 1


def open_study(sink: Sink) -> str | None:
    """As a coordinator does."""
    return sink.open_study(config(), study_id=STUDY_ID, command="kdsearch", dataset=DATASET)


def config() -> StudyConfig:
    """The study that is mirrored."""
    return small_study()


DATASET = DatasetSummary(
    name="digits",
    fingerprint="f" * 64,
    num_train=1150,
    num_val=287,
    num_test=360,
    num_classes=3,
    input_shape=(4,),
)


def evaluation(accuracy: float) -> Evaluation:
    """A model on some split."""
    return Evaluation(
        accuracy=accuracy,
        loss=0.25,
        agreement=0.95,
        teacher_kl=0.125,
        ece=0.0625,
        brier=0.03125,
        num_samples=287,
    )


def student(**changes: object) -> TrialRecord:
    """A student of the study, complete unless `changes` say otherwise."""
    epoch = {"val_loss": 0.5, "val_agreement": 0.5, "learning_rate": 1e-3, "train_loss": 1.0}
    history = tuple(
        EpochMetrics(epoch=number, val_accuracy=0.45 * number, **epoch) for number in (1, 2)
    )
    values: dict[str, object] = {
        "study": "small",
        "stage": "search",
        "arm": "distilled",
        "trial": 1,
        "replicate": 0,
        "state": "COMPLETE",
        "settings": {"temperature": 4.0, "alpha": 0.7, "learning_rate": 1e-3, "width": 8},
        "stratum": {"width": 8},
        "temperature": 4.0,
        "alpha": 0.7,
        "width": 8,
        "ensemble_size": 2,
        "learning_rate": 1e-3,
        "seed": 7,
        "num_params": 1000,
        "macs": 990,
        "size_bytes": 4000,
        "epochs": 2,
        "best_epoch": 2,
        "train_seconds": 1.5,
        "val": evaluation(0.9),
        "history": history,
        "optuna_study": "small",
        "optuna_trial": 1,
    }
    return TrialRecord.model_validate(values | changes)


def bank(test: Evaluation | None = None) -> TeacherBankRecord:
    """A bank of one teacher."""
    teacher = TeacherRecord(
        member=1,
        key="teacher1",
        model="mlp width 32 depth 1",
        num_params=50_000,
        macs=400_000,
        size_bytes=200_000,
        epochs=4,
        train_seconds=8.0,
        val=evaluation(0.95),
        test=test,
    )
    return TeacherBankRecord(key="bank1", members=(teacher,), ensembles=())
