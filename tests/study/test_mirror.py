"""A tracker that is away for a while: the study goes on, and every run is written later, once."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

import kdsearch
from kdsearch.config import StudyConfig
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.study import mirror as mirror_module
from kdsearch.study.listener import Listener
from kdsearch.study.mirror import RETRY_SECONDS, best_so_far
from kdsearch.testing.small_study import small_study
from kdsearch.tracking import DatasetSummary, LoggableModel, TrackingUnavailableError
from kdsearch.tracking.mlflow import sink as sink_module
from kdsearch.tracking.sink import StudyState
from tests.conftest import WriteStudy
from tests.study.records import make_record

pytestmark = pytest.mark.slow


class Clock:
    """Time that passes by call: four seconds each."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        self.seconds += 4.0
        return self.seconds


class FlakySink:
    """Keeps what it is told in memory; away while `away` says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.away_from, self.away_until = 0, 0
        self.always_away = False
        self.failed_at: list[float] = []
        self.clock = Clock()
        self.trials: dict[str, list[bool]] = {}
        self.best: dict[int, float] = {}
        self.teachers: set[str] = set()
        self.champions: list[str] = []
        self.reports = 0
        self.run_name = "run"
        self.states: list[StudyState] = []

    def _call(self) -> None:
        self.calls += 1
        if self.always_away or self.away_from < self.calls <= self.away_until:
            self.failed_at.append(self.clock.seconds)
            raise TrackingUnavailableError("MLflow at nowhere does not answer")

    def open_study(
        self, config: StudyConfig, *, study_id: str, command: str, dataset: DatasetSummary
    ) -> str:
        self._call()
        return "parent"

    def log_trial(self, record: TrialRecord, *, model: LoggableModel | None) -> str:
        self._call()
        self.trials.setdefault(record.key, []).append(model is not None)
        return f"{self.run_name} of {record.key}"

    def log_teacher(
        self, bank: TeacherBankRecord, record: TeacherRecord, *, model: LoggableModel | None
    ) -> str:
        self._call()
        self.teachers.add(record.key)
        return record.key

    def has_trial(self, record: TrialRecord) -> bool:
        return record.key in self.trials

    def has_teacher(self, bank: TeacherBankRecord, record: TeacherRecord) -> bool:
        return record.key in self.teachers

    def log_best(self, *, step: int, value: float) -> None:
        self._call()
        assert step not in self.best, "told twice"
        self.best[step] = value

    def register_champion(self, record: TrialRecord, *, tags: Mapping[str, str]) -> str:
        self._call()
        assert record.key in self.trials, "a champion needs its run"
        self.champions.append(record.key)
        return "1"

    def log_report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        self._call()
        assert (folder / "report.html").exists()
        self.reports += 1

    def arrange(self, records: Sequence[TrialRecord]) -> None:
        self._call()

    def study_url(self) -> None:
        return None

    def close_study(self, *, state: StudyState) -> None:
        self._call()
        self.states.append(state)


class Warnings(Listener):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> FlakySink:
    flaky = FlakySink()
    monkeypatch.setattr(sink_module, "MlflowSink", lambda: flaky)
    fake_time = ModuleType("time")
    fake_time.monotonic = flaky.clock.monotonic  # type: ignore[attr-defined]
    monkeypatch.setattr(mirror_module, "time", fake_time)
    return flaky


@pytest.fixture
def path(write_study: WriteStudy) -> Path:
    return write_study(
        name="away",
        search__width={"role": "fixed", "value": 4},
        training__epochs=3,
        tracking={"models": "all"},
    )


def check_all_written_once(sink: FlakySink, folder: Path) -> None:
    results = kdsearch.load_results("away")
    assert {t.key for t in results.trials} == set(sink.trials)
    for trial in results.trials:
        assert trial.mlflow_run_id == f"run of {trial.key}"
        assert sink.trials[trial.key] == [trial.state == "COMPLETE"], "once, with its model"
    assert list((folder / ".kdsearch/away/students").iterdir()) == []
    assert len(sink.teachers) == 2
    assert len(sink.champions) == sink.reports == 1
    expected = points(results.config, results.trials)
    assert sink.best == expected


def test_away_for_a_while_every_run_is_written_later_exactly_once(
    sink: FlakySink, path: Path, folder: Path
) -> None:
    sink.away_from, sink.away_until = 5, 8
    listener = Warnings()
    kdsearch.run_study(kdsearch.load_study(path), workers=0, listener=listener)
    check_all_written_once(sink, folder)
    assert sink.states == ["finished"]
    assert len(sink.failed_at) == 3
    waits = [b - a for a, b in itertools.pairwise(sink.failed_at)]
    assert all(wait >= RETRY_SECONDS for wait in waits)
    assert listener.texts == ["MLflow at nowhere does not answer"]


def test_away_to_the_end_the_next_run_writes_everything_with_its_models(
    sink: FlakySink, path: Path, folder: Path
) -> None:
    sink.always_away = True
    result = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert {t.state for t in result.results.trials} <= {"COMPLETE", "PRUNED"}
    assert sink.trials == {}
    assert len(list((folder / ".kdsearch/away/students").iterdir())) == len(result.results.trials)
    # A wait after each failure, and one more attempt at the very end.
    assert all(b - a >= RETRY_SECONDS for a, b in itertools.pairwise(sink.failed_at[:-1]))
    sink.always_away = False
    again = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert again.new_trials == 0
    check_all_written_once(sink, folder)


def test_a_tracker_that_was_deleted_is_written_again_and_says_what_it_lacks(
    sink: FlakySink, path: Path, folder: Path
) -> None:
    first = kdsearch.run_study(kdsearch.load_study(path), workers=0)
    written = set(sink.trials)
    assert written == {t.key for t in first.results.trials}
    teachers = set(sink.teachers)
    sink.trials.clear()
    sink.teachers.clear()
    sink.best.clear()
    sink.run_name = "second run"
    listener = Warnings()
    again = kdsearch.run_study(kdsearch.load_study(path), workers=0, listener=listener)
    assert again.new_trials == 0
    assert set(sink.trials) == written
    assert sink.teachers == teachers
    assert sink.best
    assert {t.mlflow_run_id for t in again.results.trials} == {
        f"second run of {k}" for k in written
    }
    assert len(listener.texts) == 1
    assert f"MLflow has lost {len(written)} runs" in listener.texts[0]
    assert "models:/away@champion" in listener.texts[0]
    third = Warnings()
    sink.best.clear()
    kdsearch.run_study(kdsearch.load_study(path), workers=0, listener=third)
    assert third.texts == []
    assert all(len(models) == 1 for models in sink.trials.values()), "not written a third time"


def points(config: StudyConfig, records: Sequence[TrialRecord]) -> dict[int, float]:
    return {best.trial: best.value for best in best_so_far(config, records)}


def test_the_best_so_far_ends_before_the_first_trial_that_runs() -> None:
    config = small_study(objective={"metric": "val_loss", "direction": "minimize"})
    records = [
        make_record(config, 0, val=0.5),
        make_record(config, 1, state="PRUNED"),
        make_record(config, 2, val=0.6),
        make_record(config, 3),
        make_record(config, 4, val=0.7),
        make_record(config, 0, val=0.9, lane=2),
    ]
    assert points(config, records) == {0: 0.5, 2: 0.5}
    higher = small_study()
    assert points(higher, records[:3]) == {0: 0.5, 2: 0.6}
    first = next(best_so_far(higher, records))
    assert [(b.trial, b.value) for b in best_so_far(higher, records, first)] == [(2, 0.6)]
