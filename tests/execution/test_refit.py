"""The second training, on validation samples, too: what one would train by hand."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from kdsearch.cache import cache_folder
from kdsearch.config import Scalar, StudyConfig
from kdsearch.data import Augmentation, Split, load_dataset
from kdsearch.distill import TeacherBank, ensemble_logits
from kdsearch.distill.logits import LOGITS_BATCH
from kdsearch.execution import CohortTask, StudentSpec
from kdsearch.execution import cohort as cohort_module
from kdsearch.execution import engine as engine_module
from kdsearch.execution.materials import open_bank
from kdsearch.execution.student import Student, students_path
from kdsearch.models import build_model, predict_logits
from kdsearch.results import Outcome
from kdsearch.testing.small_study import small_study
from kdsearch.training import StudentRun, TrainingData, evaluate_logits
from tests.execution.conftest import Log, MakeTask, with_teachers
from tests.execution.test_cohort import drive
from tests.study.records import history

pytestmark = pytest.mark.slow

# Rates at which students overfit or stop early, so that not all keep their last epoch.
SETTINGS: tuple[dict[str, Scalar], ...] = (
    {"learning_rate": 0.1, "alpha": 0.5},
    {"learning_rate": 0.002, "alpha": 0.0, "width": 12},
    {"learning_rate": 0.02, "alpha": 1.0, "training.patience": 1, "training.warmup_epochs": 6},
)


def refit(task: CohortTask) -> CohortTask:
    """The task as the confirm stage has it."""
    return replace(task, specs=tuple(replace(r, refit=True, opens_test=True) for r in task.specs))


def without_refit(task: CohortTask) -> CohortTask:
    return replace(
        task,
        specs=tuple(replace(row, refit=False) for row in task.specs),
        checkpoint=task.checkpoint.with_name("without.pt"),
        students=task.students.with_name("without"),
    )


def weights_of(task: CohortTask, key: str) -> dict[str, Tensor]:
    return load_file(students_path(task.students, key))


class HandMade:
    """The views of hand-made data, and what members say about each."""

    def __init__(self, views: Augmentation, mean: Tensor, std: Tensor, bank: TeacherBank) -> None:
        self._views, self._mean, self._std, self._bank = views, mean, std, bank

    def at_epoch(self, data: TrainingData, epoch: int) -> TrainingData:
        number = (epoch - 1) % self._views.num_views
        raw = self._views.view(number).x
        return data._replace(
            train_x=(raw - self._mean) / self._std, teacher_train=said(self._bank, raw)
        )


def said(bank: TeacherBank, raw: Tensor) -> Tensor:
    """What the members say about samples, which they normalise themselves."""
    models = [bank.load(member).model for member in bank.members]
    return torch.stack([predict_logits(m, raw, batch_size=LOGITS_BATCH) for m in models])


def joined_by_hand(config: StudyConfig) -> Split:
    """Training and validation samples in the order of their ids, as one would write it down."""
    data = load_dataset(config.data, cache=cache_folder())
    omitted = config.data.transfer.omit_classes if config.data.transfer else ()
    samples = [
        (int(split.ids[i]), split.x[i], int(split.y[i]))
        for split in (data.train, data.val)
        for i in range(len(split))
        if int(split.y[i]) not in omitted
    ]
    samples.sort(key=lambda sample: sample[0])
    ids, x, y = zip(*samples, strict=True)
    return Split(x=torch.stack(x), y=torch.tensor(y), ids=torch.tensor(ids))


def refit_by_hand(config: StudyConfig, row: StudentSpec, kept_epoch: int) -> StudentRun:
    """The row's student, trained from its first weights on all but the test samples."""
    data, trial = load_dataset(config.data, cache=cache_folder()), row.trial
    bank = open_bank(config.teacher, config.data, cache_folder())
    joined = joined_by_hand(config)
    x, val_x = ((split.x - data.mean) / data.std for split in (joined, data.val))
    views = None
    if config.data.augment is not None:
        made = Augmentation(config.data.augment, seed=0, train=joined, whole=joined)
        views = HandMade(made, data.mean, data.std, bank)
    seen = TrainingData(
        train_x=x,
        train_y=joined.y,
        val_x=val_x,
        val_y=data.val.y,
        teacher_train=said(bank, joined.x),
        teacher_val=None,
        views=views,  # type: ignore[arg-type]
    )
    warmup = min(trial.training.warmup_epochs, kept_epoch - 1)
    changes = {"epochs": kept_epoch, "warmup_epochs": warmup, "patience": None}
    run = StudentRun(
        build_model(trial.student, input_shape=(1, 8, 8), num_classes=10, seed=row.seed),
        seen,
        training=trial.training.model_copy(update=changes),
        distillation=trial.distillation,
        width=trial.student.width,
        order_seed=row.order_seed,
    )
    list(run.epochs(until=kept_epoch))
    assert run.epoch == kept_epoch
    return run


def check_by_hand(config: StudyConfig, task: CohortTask, outcomes: dict[str, Outcome]) -> None:
    data = load_dataset(config.data, cache=cache_folder())
    bank = open_bank(config.teacher, config.data, cache_folder())
    test = data.test.open(by="test")
    x = (test.x - data.mean) / data.std
    members = said(bank, test.x)
    teacher = ensemble_logits(members, size=2, mode=config.teacher.ensemble_mode)
    for row in task.specs:
        outcome = outcomes[row.key]
        assert outcome.best_epoch is not None
        assert outcome.test is not None
        model = refit_by_hand(config, row, outcome.best_epoch).model
        for name, value in weights_of(task, row.key).items():
            torch.testing.assert_close(value, model.state_dict()[name], atol=2e-4, rtol=2e-3)
        expected = evaluate_logits(predict_logits(model, x), test.y, teacher)
        assert outcome.test.loss == pytest.approx(expected.loss, abs=1e-3)
        assert outcome.test.accuracy == pytest.approx(expected.accuracy, abs=0.006)
        assert outcome.test.teacher_kl == pytest.approx(expected.teacher_kl, abs=1e-3)
        assert outcome.test.num_samples == len(test)


DATA: dict[str, dict[str, Any]] = {
    "whole": {},
    "a class less": {"transfer": {"omit_classes": [3, 7]}},
    "views": {"augment": {"shift": 1, "views": 2}},
    "a part": {"train_fraction": 0.5, "transfer": {"omit_classes": [3]},
               "augment": {"flip": True, "views": 2}},
}  # fmt: skip


@pytest.mark.parametrize("section", DATA)
def test_a_refit_is_what_one_would_train_by_hand(section: str, make_task: MakeTask) -> None:
    config = with_teachers(small_study(data={"kind": "digits"} | DATA[section]))
    task = refit(make_task(config=config, settings=SETTINGS))
    log = drive(task, Log())
    once = drive(without_refit(task), Log())
    assert log.epochs == once.epochs, "of the second training nobody is told"
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    for key, outcome in log.outcomes.items():
        ignored = {"test", "test_correct", "train_seconds"}
        before = once.outcomes[key]
        assert outcome.model_dump(exclude=ignored) == before.model_dump(exclude=ignored)
        assert outcome.test != before.test
    kept = [o.best_epoch for o in log.outcomes.values()]
    assert min(kept) < 9, "else the number of epochs shows nothing"
    check_by_hand(config, task, log.outcomes)


@pytest.mark.parametrize(
    ("settings", "scores", "epochs", "warmup"),
    [
        ({}, (0.5, 0.8, 0.7), 2, 0),
        ({"training.warmup_epochs": 2}, (0.5, 0.6, 0.7, 0.8, 0.1), 4, 2),
        ({"training.warmup_epochs": 4, "training.patience": 2}, (0.5, 0.6, 0.6, 0.6), 2, 1),
        ({"training.warmup_epochs": 4}, (0.5, 0.4), 1, 0),
        ({"training.keep": "last", "training.patience": 2}, (0.5, 0.4, 0.3), 3, 0),
    ],
    ids=str,
)
def test_a_refit_is_scheduled_for_the_epochs_that_were_kept(
    settings: dict[str, Scalar],
    scores: tuple[float, ...],
    epochs: int,
    warmup: int,
    make_task: MakeTask,
) -> None:
    task = refit(make_task(settings=[settings]))
    (row,) = task.specs
    student = Student(row, task)
    for metrics in history(*scores):
        student.progress.add(metrics, dict)
    final = student.refit().spec
    changes = {"epochs": epochs, "warmup_epochs": warmup, "patience": None, "keep": "last"}
    assert final.trial.training == row.trial.training.model_copy(update=changes)
    assert final.trial.model_copy(update={"training": row.trial.training}) == row.trial
    assert (final.seed, final.order_seed) == (row.seed, row.order_seed)


@pytest.mark.parametrize(
    "settings",
    [{"student.dropout": 0.3}, {"training.keep": "last"}, {"training.lr_scaling": "mup"}],
    ids=str,
)
def test_whatever_the_student_is(
    settings: dict[str, Scalar], make_task: MakeTask, study: StudyConfig
) -> None:
    rates = ({"learning_rate": rate} for rate in (0.005, 0.003))
    task = refit(make_task(settings=[rate | settings for rate in rates]))
    log = drive(task, Log())
    check_by_hand(study, task, log.outcomes)
    if settings == {"training.keep": "last"}:
        assert {o.best_epoch for o in log.outcomes.values()} == {9}


def test_convolutions(make_task: MakeTask, signal_study: StudyConfig, tmp_path: Path) -> None:
    student = {"kind": "conv1d", "width": 4, "depth": 2}
    tree = signal_study.model_dump(mode="json") | {"student": student}
    config = StudyConfig.model_validate(tree)
    rates = [{"learning_rate": rate, "training.epochs": 3} for rate in (0.003, 0.001)]
    task = refit(make_task(config=config, settings=rates, folder=tmp_path / "one"))
    log = drive(task, Log())
    alone = replace(task, engine="reference", checkpoint=tmp_path / "a.pt", students=tmp_path)
    expected = drive(alone, Log())
    for key, mine in log.outcomes.items():
        its = expected.outcomes[key]
        assert mine.test is not None
        assert its.test is not None
        assert mine.test.loss == pytest.approx(its.test.loss, abs=1e-4)
        for name, value in weights_of(task, key).items():
            torch.testing.assert_close(value, weights_of(alone, key)[name], atol=1e-4, rtol=1e-3)


def test_no_leg_but_the_last_refits(make_task: MakeTask) -> None:
    leg = refit(make_task(until=3))
    log = drive(leg, Log())
    assert len(log.paused) == 4
    assert log.outcomes == {}
    saved = cohort_module.load_checkpoint(leg.checkpoint)
    assert saved is not None
    assert set(saved["students"]) == {row.key for row in leg.specs}


def test_only_rows_that_want_it_are_refitted(make_task: MakeTask, tmp_path: Path) -> None:
    every = refit(make_task(settings=SETTINGS, folder=tmp_path / "every"))
    some = refit(make_task(settings=SETTINGS, folder=tmp_path / "some"))
    some = replace(some, specs=(replace(some.specs[0], refit=False), *some.specs[1:]))
    none = without_refit(every)
    logs = {name: drive(t, Log()) for name, t in (("e", every), ("s", some), ("n", none))}
    first, *others = (row.key for row in every.specs)
    assert logs["s"].outcomes[first].test == logs["n"].outcomes[first].test
    for key in others:
        assert logs["s"].outcomes[key].test == pytest.approx(logs["e"].outcomes[key].test)
        assert logs["s"].outcomes[key].test != logs["n"].outcomes[key].test


def test_the_seconds_of_both_trainings_count(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = itertools.count(1000.0, 4.0)
    clock = ModuleType("time")
    clock.perf_counter = passed.__next__  # type: ignore[attr-defined]
    monkeypatch.setattr(engine_module, "time", clock)
    (outcome,) = drive(refit(make_task(settings=SETTINGS[:1])), Log()).outcomes.values()
    assert outcome.best_epoch is not None
    assert outcome.train_seconds == 4.0 * (outcome.epochs + outcome.best_epoch)
