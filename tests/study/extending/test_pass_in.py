"""A user's own executor, sink and sampler, passed to `run_study`."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import optuna
import pytest
from optuna.samplers import BaseSampler

from kdsearch import run_study
from kdsearch.analysis import results_table
from kdsearch.config import SamplerConfig, StudyConfig
from kdsearch.errors import StudyChangedError
from kdsearch.execution import Executor, InlineExecutor, Task
from kdsearch.execution.task import Idle, Notify, nothing_to_do
from kdsearch.results import Results, TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.testing import SinkContract
from kdsearch.testing.sink import MakeSink
from kdsearch.testing.small_study import small_study
from kdsearch.tracking import DatasetSummary, LoggableModel, StudyState

pytestmark = pytest.mark.slow

CONFIG = small_study(training__epochs=2, budget__trials=2, confirm__replicates=1)


class Backwards:
    """Runs tasks here, the last one first."""

    def __init__(self) -> None:
        self.inner: Executor = InlineExecutor()
        self.seen: list[str] = []
        self.is_closed = False

    def run(
        self,
        tasks: Sequence[Task],
        *,
        notify: Notify,
        should_stop: Callable[[], bool],
        idle: Idle = nothing_to_do,
    ) -> None:
        self.seen += [task.key for task in tasks]
        self.inner.run(list(tasks)[::-1], notify=notify, should_stop=should_stop, idle=idle)

    def close(self) -> None:
        self.is_closed = True


class Listing:
    """Keeps what it is told in a list: the least that a sink can do."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def open_study(
        self, config: StudyConfig, *, study_id: str, command: str, dataset: DatasetSummary
    ) -> None:
        self.told.append(f"open {config.name}")

    def log_trial(self, record: TrialRecord, *, model: LoggableModel | None) -> None:
        if record.state == "RUNNING":
            raise ValueError(f"{record.key} has not ended")
        self.told.append(record.key)

    def log_teacher(
        self, bank: TeacherBankRecord, record: TeacherRecord, *, model: LoggableModel | None
    ) -> None:
        self.told.append(f"teacher {record.member}")

    def has_trial(self, record: TrialRecord) -> bool:
        return False

    def has_teacher(self, bank: TeacherBankRecord, record: TeacherRecord) -> bool:
        return False

    def log_best(self, *, step: int, value: float) -> None:
        self.told.append(f"best {step}")

    def register_champion(self, record: TrialRecord, *, tags: Mapping[str, str]) -> None:
        self.told.append(f"champion {record.key}")

    def log_report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        self.told.append("report")

    def arrange(self, records: Sequence[TrialRecord]) -> None:
        self.told.append("arrange")

    def study_url(self) -> str:
        return "https://example.org/listing"

    def close_study(self, *, state: StudyState) -> None:
        self.told.append(state)


class TestListing(SinkContract):
    @pytest.fixture
    def make_sink(self) -> MakeSink:
        return Listing


def numbers(results: Results) -> str:
    """The results table without times and runs."""
    return results_table(results).drop(columns=["train_seconds", "mlflow_run_id"]).to_csv()


def test_executor_and_sink_may_be_the_users(folder: Path) -> None:
    executor, sink = Backwards(), Listing()
    result = run_study(CONFIG, executor=executor, sink=sink)
    assert result.new_trials == len(result.results.trials)
    assert executor.seen
    assert not executor.is_closed
    assert not (folder / "mlflow.db").exists()
    keys = {record.key for record in result.results.trials}
    assert keys <= set(sink.told)
    assert {"teacher 1", "teacher 2", "report", "finished"} <= set(sink.told)
    assert result.charts == "https://example.org/listing"
    assert result.model is None
    assert result.champion is not None
    assert f"champion {result.champion.key}" in sink.told


def test_results_do_not_depend_on_who_trains_and_who_listens(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for given in ({"workers": 0}, {"executor": Backwards(), "sink": Listing()}):
        monkeypatch.chdir(tmp_path_factory.mktemp("run"))
        found.append(numbers(run_study(CONFIG, **given).results))
    assert found[0] == found[1]


def test_workers_and_an_executor_are_one_too_many(folder: Path) -> None:
    with pytest.raises(ValueError, match="give one of the two"):
        run_study(CONFIG, workers=1, executor=Backwards())
    assert not list(folder.iterdir())


def patient(seed: int, startup: int = 10) -> BaseSampler:
    """What `tpe` is in the small study, with `startup` 3."""
    return optuna.samplers.TPESampler(n_startup_trials=startup, multivariate=True, seed=seed)


def test_a_sampler_may_be_passed_in_and_is_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_open = CONFIG.model_copy(update={"sampler": SamplerConfig(), "name": "open"})
    make = functools.partial(patient, startup=3)
    passed = run_study(left_open, workers=0, sink=Listing(), sampler=make).results
    named = passed.config.sampler
    assert (named.kind, named.target) == ("import", f"{__name__}:patient")
    assert named.options == {"startup": 3}
    again = run_study(left_open, workers=0, sink=Listing(), sampler=make)
    assert again.new_trials == 0
    by_file = CONFIG.model_copy(update={"sampler": named, "name": "open"})
    assert run_study(by_file, workers=0, sink=Listing()).new_trials == 0, "the same study"
    for other in (None, patient):
        with pytest.raises(StudyChangedError, match=r"sampler\.options"):
            run_study(left_open, workers=0, sink=Listing(), sampler=other)

    tpe = run_study(CONFIG, workers=0, sink=Listing()).results
    asked = [[t.settings for t in found.select(stage="search")] for found in (passed, tpe)]
    assert asked[0] == asked[1]


def test_a_sampler_that_cannot_be_found_again_is_refused(folder: Path) -> None:
    def local(seed: int) -> BaseSampler:
        return patient(seed)

    left_open = CONFIG.model_copy(update={"sampler": SamplerConfig()})
    for make in (local, lambda seed: patient(seed), functools.partial(patient, 3)):
        with pytest.raises(ValueError, match="must find its sampler again"):
            run_study(left_open, sampler=make)
    with pytest.raises(ValueError, match=r"sampler\.kind is tpe.*; give one of the two"):
        run_study(CONFIG, sampler=patient)
    assert not list(folder.iterdir())
