"""The engine of a study: forced, or measured once, told and kept."""

from dataclasses import replace
from pathlib import Path

import pytest

import kdsearch
from kdsearch.cache import cache_folder
from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution import CohortTask, InlineExecutor, StudentSpec, TeacherTask
from kdsearch.execution.engine import stack_key
from kdsearch.execution.task import EngineName
from kdsearch.results import Results
from kdsearch.results.score import BY_ACCURACY
from kdsearch.study import engines
from kdsearch.study.engines import with_engine
from kdsearch.study.listener import Listener
from kdsearch.study.storage.database import connect_existing
from kdsearch.study.storage.ledger import Ledger
from kdsearch.testing.small_study import small_study
from tests.conftest import WriteStudy

pytestmark = pytest.mark.slow

SIGNALS = {"kind": "mnist1d", "train_samples": 600, "test_samples": 100}
CONV1D = {"kind": "conv1d", "width": 4, "depth": 2}
CNN = {"kind": "cnn", "width": 4, "depth": 2}


class Notes(Listener):
    """A listener that keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def cohort(config: StudyConfig, folder: Path, *widths: int) -> CohortTask:
    settings: list[dict[str, Scalar]] = [
        {"width": width, "temperature": 2.0, "alpha": alpha}
        for width in widths
        for alpha in (0.2, 0.8)
    ]
    rows = tuple(
        StudentSpec(key=f"{widths}/{index}", trial=config.trial_config(one), seed=1, order_seed=2)
        for index, one in enumerate(settings)
    )
    return CohortTask(
        key=str(widths), specs=rows, until=None, ranking=BY_ACCURACY, teacher_data=config.data,
        checkpoint=folder / "c.pt", students=folder, cache=cache_folder(),
    )  # fmt: skip


def train_teachers(config: StudyConfig) -> None:
    tasks = [
        TeacherTask(
            key=str(member), teacher=config.teacher, data=config.data, member=member,
            cache=cache_folder(),
        )
        for member in (1, 2)
    ]  # fmt: skip
    InlineExecutor().run(
        tasks,
        notify=lambda *_: None,
        should_stop=lambda: False,
    )


@pytest.mark.parametrize(
    ("speedup", "engine", "told"),
    [
        (2.04, "population", "together in one step: together is 2.0 times as fast"),
        (1.4, "reference", "one after another: together is 1.4 times as fast"),
        (0.5, "reference", "one after another: together is 0.5 times as fast"),
    ],
)
def test_the_measured_engine_is_told_and_kept(
    speedup: float,
    engine: EngineName,
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small_study(student=CNN)
    ledger, listener = Ledger.create(config, command=""), Notes()
    measured: list[str] = []

    def measure(task: CohortTask) -> float | None:
        measured.append(task.key)
        return None if task.key == "(16,)" else speedup

    monkeypatch.setattr(engines, "population_speedup", measure)
    tasks = [cohort(config, folder, *widths) for widths in ((4,), (16,), (4, 8))]
    chosen = with_engine(tasks, config.training.engine, ledger=ledger, listener=listener)
    assert [task.engine for task in chosen] == [engine] * 3
    assert measured == ["(16,)", "(4, 8)"], "from the widest down, until one can be measured"
    assert listener.notes == [f"cnn students are trained {told} here, for the widest of them"]
    again = Ledger(connect_existing("sqlite:///kdsearch.db"), "small")
    assert again.engine == engine
    resumed = with_engine(tasks, config.training.engine, ledger=again, listener=listener)
    assert [task.engine for task in resumed] == [engine] * 3
    assert len(measured) == 2


@pytest.mark.parametrize("kind", ["mlp", "conv1d", "cnn"])
def test_a_busy_machine_does_not_flip_the_engine(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = {"kind": "mlp", "depth": 1} if kind == "mlp" else CONV1D
    config = small_study(data=SIGNALS, student=student)
    if kind == "cnn":
        config = small_study(student=CNN)
    usual = "reference" if kind == "cnn" else "population"
    for index, speedup in enumerate((0.7, 1.0, 1.45)):
        ledger = Ledger.create(config.model_copy(update={"name": f"run{index}"}), command="")
        monkeypatch.setattr(engines, "population_speedup", lambda _task, told=speedup: told)
        (task,) = with_engine(
            [cohort(config, folder, 4, 8)], config.training.engine, ledger=ledger, listener=Notes()
        )
        assert task.engine == usual


def test_two_students_decide_for_now_and_not_for_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_study(student=CNN)
    ledger = Ledger.create(config, command="")
    monkeypatch.setattr(engines, "population_speedup", lambda task: len(task.specs) / 2)
    (few,) = with_engine(
        [cohort(config, folder, 4)], config.training.engine, ledger=ledger, listener=Notes()
    )
    assert (few.engine, ledger.engine) == ("reference", None)
    (many,) = with_engine(
        [cohort(config, folder, 4, 8)], config.training.engine, ledger=ledger, listener=Notes()
    )
    assert (many.engine, ledger.engine) == ("population", "population")


def test_a_loss_without_a_closed_form_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = {"role": "nuisance", "low": 1e-3, "high": 1e-1}
    config = small_study(
        distillation={"kind": "import", "target": "mine:Loss"}, search={"learning_rate": rate}
    )
    trials = [config.trial_config({"width": width}) for width in (4, 4, 8)]
    assert stack_key(StudentSpec("0", trials[0], 1, 2)) == stack_key(
        StudentSpec("1", trials[1], 1, 2)
    )
    assert stack_key(StudentSpec("0", trials[0], 1, 2)) != stack_key(
        StudentSpec("2", trials[2], 1, 2)
    )
    hard = config.trial_config({"width": 4, "alpha": 1.0})
    assert stack_key(StudentSpec("0", trials[0], 1, 2)) != stack_key(StudentSpec("3", hard, 1, 2))
    rows = tuple(StudentSpec(str(index), trial, 1, 2) for index, trial in enumerate(trials))
    task = replace(cohort(small_study(), folder, 4), specs=rows)
    listener = Notes()
    monkeypatch.setattr(engines, "population_speedup", lambda _task: 1.2)
    with_engine(
        [task], config.training.engine, ledger=Ledger.create(config, command=""), listener=listener
    )
    (note,) = listener.notes
    assert note.startswith("mlp students are trained together in one step: together is")
    assert "(a loss of `kind: import` has no closed form, so its slope is left to" in note


def test_convolutional_students_are_really_measured(folder: Path) -> None:
    config = small_study(data=SIGNALS, student=CONV1D)
    train_teachers(config)
    ledger, listener = Ledger.create(config, command=""), Notes()
    with_engine(
        [cohort(config, folder, 4, 8)], config.training.engine, ledger=ledger, listener=listener
    )
    (note,) = listener.notes
    assert note.startswith("conv1d students are trained ")
    assert ledger.engine in ("reference", "population")


@pytest.mark.parametrize("engine", ["reference", "population"])
def test_a_forced_engine_is_not_measured(
    engine: EngineName, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_study(data=SIGNALS, student=CONV1D, training__engine=engine)
    ledger, listener = Ledger.create(config, command=""), Notes()
    monkeypatch.setattr(engines, "population_speedup", lambda task: pytest.fail("measured"))
    (task,) = with_engine(
        [cohort(config, folder, 4)],
        config.training.engine,
        ledger=ledger,
        listener=listener,
    )
    assert task.engine == engine
    assert listener.notes == []
    assert ledger.engine is None


def test_a_convolutional_study_has_the_same_losses_with_either_engine(
    write_study: WriteStudy,
) -> None:
    def run(engine: str) -> Results:
        path = write_study(
            name=engine,
            data=SIGNALS,
            student=CONV1D,
            training__engine=engine,
            training__epochs=3,
            sampler={"kind": "random"},
            budget={"trials": 3, "generation": 3},
            confirm={"replicates": 1, "candidates": 1, "baseline": False},
        )
        return kdsearch.run_study(kdsearch.load_study(path), workers=0).results

    together, alone = run("population").trials, run("reference").trials
    assert len(together) == len(alone) == 2 * (3 + 1)
    for mine, its in zip(together, alone, strict=True):
        assert (mine.key, mine.width, mine.epochs) == (its.key, its.width, its.epochs)
        assert mine.val is not None
        assert its.val is not None
        for a, b in zip(mine.history, its.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
            assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)
