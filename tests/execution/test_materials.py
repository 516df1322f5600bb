"""What students and teachers are given: the same samples, whoever asks, and shared memory."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kdsearch.cache import cache_folder
from kdsearch.config import DataConfig, StudyConfig
from kdsearch.distill import ensemble_logits, soften
from kdsearch.distill.logits import LOGITS_BATCH
from kdsearch.execution import CohortTask, InlineExecutor, ProcessExecutor, TeacherTask
from kdsearch.execution.materials import (
    forget_materials,
    load_data,
    open_bank,
    plain_data,
    resident_data,
    taught_data,
)
from kdsearch.models import predict_logits
from kdsearch.testing.small_study import small_study
from tests.execution.conftest import Log, MakeTask, essence, with_teachers

VIEWS = 2
DATA = {"kind": "digits", "augment": {"shift": 1, "flip": True, "views": VIEWS}}


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(2)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def augmented(shared_state: None, processes: ProcessExecutor) -> StudyConfig:
    """A study with views, whose teachers were trained and asked in worker processes."""
    config = small_study(data=DATA)
    tasks = [
        TeacherTask(f"teacher/{m}", config.teacher, config.data, m, cache_folder()) for m in (1, 2)
    ]
    log = run(processes, *tasks)
    assert not log.failures
    return config


def run(executor: InlineExecutor | ProcessExecutor, *tasks: CohortTask | TeacherTask) -> Log:
    log = Log()
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    return log


def thinned(data: DataConfig, fraction: float) -> DataConfig:
    return data.model_copy(update={"train_fraction": fraction})


def test_cached_logits_are_the_teachers_on_what_the_student_sees(augmented: StudyConfig) -> None:
    """Bit for bit, in two views: the workers' logits and this process's samples."""
    data, teacher, cache = augmented.data, augmented.teacher, cache_folder()
    bank = open_bank(teacher, data, cache)
    files = set((cache / "logits").glob("*.safetensors"))
    seen = taught_data(data, teacher, data, cache)
    for epoch in (1, 2):
        view = seen.at_epoch(epoch)
        assert view.teacher_train is not None
        for member in bank.members:
            body = bank.load(member).model.body
            expected = predict_logits(body, view.train_x, batch_size=LOGITS_BATCH)
            assert torch.equal(view.teacher_train[member - 1], expected)
    first, second = seen.at_epoch(1), seen.at_epoch(2)
    assert not torch.equal(first.train_x, second.train_x)
    assert set((cache / "logits").glob("*.safetensors")) == files  # the workers made them all


def test_an_epochs_data_come_again_after_all_views(augmented: StudyConfig) -> None:
    data, teacher, cache = augmented.data, augmented.teacher, cache_folder()
    seen = taught_data(data, teacher, data, cache)
    first = seen.at_epoch(1)
    assert seen.at_epoch(1) is first
    assert first.at_epoch(1) is first
    second = first.at_epoch(2)
    again = seen.at_epoch(1 + VIEWS)
    assert again is not first  # only the last one is kept
    for name in ("train_x", "train_y", "teacher_train"):
        assert torch.equal(getattr(again, name), getattr(first, name))
        assert (name == "train_y") == torch.equal(getattr(second, name), getattr(first, name))
    assert again.val_x is seen.val_x
    device = torch.device("cpu")
    assert seen.to(device).at_epoch(1 + VIEWS) is again


def test_teachers_see_the_views_that_their_students_see(augmented: StudyConfig) -> None:
    data, cache = augmented.data, cache_folder()
    alone = plain_data(data, cache)
    taught = taught_data(data, augmented.teacher, data, cache)
    for epoch in (1, 2):
        assert torch.equal(alone.at_epoch(epoch).train_x, taught.at_epoch(epoch).train_x)
        assert alone.at_epoch(epoch).teacher_train is None
    other = {"kind": "digits", "augment": {"shift": 2, "views": VIEWS}}
    keys = {
        open_bank(augmented.teacher, small_study(data=d).data, cache).key
        for d in (DATA, other, {"kind": "digits"})
    }
    assert len(keys) == 3  # they are other teachers


def test_a_part_of_the_samples_has_its_own_logits_and_views(augmented: StudyConfig) -> None:
    data, teacher, cache = augmented.data, augmented.teacher, cache_folder()
    part = thinned(data, 0.4)
    rows = torch.searchsorted(load_data(data, cache).train.ids, load_data(part, cache).train.ids)
    every, some = (taught_data(d, teacher, data, cache) for d in (data, part))
    for epoch in (1, 2):
        logits = every.at_epoch(epoch).teacher_train
        assert logits is not None
        assert torch.equal(some.at_epoch(epoch).teacher_train, logits[:, rows])
        mean, std = load_data(part, cache).mean, load_data(part, cache).std
        augmentation = load_data(data, cache).augmentation
        assert augmentation is not None
        raw = augmentation.view(epoch - 1).x[rows]
        assert torch.equal(some.at_epoch(epoch).train_x, (raw - mean) / std)
    assert part.whole() == data


LOADED = """
import numpy as np
from pathlib import Path

def make(log):
    with Path(log).open("a") as file:
        file.write("loaded\\n")
    return np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 3
"""


def test_a_users_own_data_are_loaded_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once more for what is trained on at the end."""
    (tmp_path / "loaded.py").write_text(LOADED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    log = tmp_path / "log"
    data = {"kind": "import", "target": "loaded:make", "options": {"log": str(log)}}
    config, cache = with_teachers(small_study(data=data)), cache_folder()
    assert log.read_text().count("loaded") == 1
    load_data(config.data, cache)
    plain_data(config.data, cache)
    taught_data(config.data, config.teacher, config.data, cache)
    resident = resident_data(
        config.data, config.teacher, config.data, cache, device=torch.device("cpu"), with_val=False
    )
    assert len(resident.train_y) == 58
    assert log.read_text().count("loaded") == 1
    taught_data(config.data, config.teacher, config.data, cache, with_val=True)
    assert log.read_text().count("loaded") == 2


def test_soft_targets_follow_the_view(augmented: StudyConfig, make_task: MakeTask) -> None:
    """The loss of an epoch is the one that the epoch's own logits give."""
    from kdsearch.execution.engine import ReferenceEngine
    from kdsearch.execution.student import Student

    task = make_task(config=augmented, settings=[{"learning_rate": 0.01, "alpha": 0.0}])
    engine = ReferenceEngine(Student(task.specs[0], task), None)
    for epoch in (1, 2, 3):
        list(engine.train(epoch))
        assert engine._run is not None
        logits = engine.students[0].data.at_epoch(epoch).teacher_train
        assert logits is not None
        teach = task.specs[0].trial.distillation
        mixed = ensemble_logits(logits, size=teach.ensemble_size, mode=teach.ensemble_mode)
        assert torch.equal(engine._run._prepared, soften(mixed, teach.temperature))


@pytest.mark.slow
def test_an_augmented_cohort_is_the_same_everywhere_and_after_a_stop(
    augmented: StudyConfig, make_task: MakeTask, processes: ProcessExecutor, tmp_path: Path
) -> None:
    inline = run(InlineExecutor(), make_task(config=augmented, folder=tmp_path / "inline"))
    assert not inline.failures
    assert len(inline.outcomes) == 4
    elsewhere = run(processes, make_task(config=augmented, folder=tmp_path / "processes"))
    assert essence(elsewhere.outcomes) == essence(inline.outcomes)
    task, log = make_task(config=augmented, folder=tmp_path / "stopped"), Log()
    for _ in range(40):
        forget_materials()
        answers = itertools.chain([False], itertools.repeat(True))  # begin, then stop at once
        InlineExecutor().run([task], notify=log.notify, should_stop=answers.__next__)
        if log.outcomes:
            break
    assert essence(log.outcomes) == essence(inline.outcomes)
