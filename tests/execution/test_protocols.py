"""What teachers and students are given where the study says that it is not the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from kdsearch.cache import cache_folder
from kdsearch.config import KdDistillation, StudyConfig
from kdsearch.config.seed import derive_seed
from kdsearch.distill import TeacherBank
from kdsearch.distill.logits import LOGITS_BATCH
from kdsearch.execution import CohortTask
from kdsearch.execution.materials import load_data, open_bank, plain_data, taught_data
from kdsearch.execution.student import Student, students_path
from kdsearch.execution.teacher import measure_bank
from kdsearch.models import build_model, predict_logits
from kdsearch.testing.small_study import small_study
from kdsearch.training import StudentRun, TrainingData
from tests.execution.conftest import Log, MakeTask, with_teachers
from tests.execution.test_cohort import drive

pytestmark = pytest.mark.slow

VIEWS = {"shift": 1, "views": 2}
OTHER = {"flip": True, "views": 3}
JITTERED_TEACHER: dict[str, Any] = {"data": {"kind": "digits"}, "teacher__augment": VIEWS}
JITTERED_STUDENTS: dict[str, Any] = {
    "data": {"kind": "digits", "augment": VIEWS},
    "teacher__augment": "none",
}
BOTH: dict[str, Any] = {"data": {"kind": "digits", "augment": OTHER}, "teacher__augment": VIEWS}


def bank_of(config: StudyConfig) -> TeacherBank:
    return open_bank(config.teacher, config.data, cache_folder())


def seen_by_students(config: StudyConfig) -> TrainingData:
    return taught_data(config.data, config.teacher, config.data, cache_folder())


def asked(bank: TeacherBank, x: Tensor) -> Tensor:
    """What the members say about normalised samples."""
    bodies = [bank.load(member).model.body for member in bank.members]
    return torch.stack([predict_logits(b, x, batch_size=LOGITS_BATCH) for b in bodies])


def test_a_teacher_is_another_one_by_what_it_is_trained_on_and_by_nothing_else() -> None:
    augmented = bank_of(small_study(data={"kind": "digits", "augment": VIEWS})).key
    plain = bank_of(small_study()).key
    other = bank_of(small_study(data={"kind": "digits", "augment": OTHER})).key
    assert len({augmented, plain, other}) == 3
    assert bank_of(small_study(**JITTERED_TEACHER)).key == augmented
    assert bank_of(small_study(**BOTH)).key == augmented
    assert bank_of(small_study(**JITTERED_STUDENTS)).key == plain
    assert bank_of(small_study(teacher__augment="none")).key == plain
    own = small_study(teacher__augment={"flip": True, "views": 3})
    assert bank_of(own).key == other


@pytest.mark.parametrize(
    ("changes", "trained_on"),
    [
        (JITTERED_TEACHER, {"kind": "digits", "augment": VIEWS}),
        (JITTERED_STUDENTS, {"kind": "digits"}),
        (BOTH, {"kind": "digits", "augment": VIEWS}),
    ],
    ids=["jittered teacher", "jittered students", "both"],
)
def test_members_learn_from_their_views_and_are_asked_about_the_students(
    changes: dict[str, Any], trained_on: dict[str, Any]
) -> None:
    config = with_teachers(small_study(**changes, teacher__seed=11))
    bank = bank_of(config)
    (member, training) = (1, config.teacher.training)
    alone = StudentRun(
        build_model(
            config.teacher.model,
            input_shape=(1, 8, 8),
            num_classes=10,
            seed=derive_seed("teacher", 11, member),
        ),
        plain_data(small_study(data=trained_on).data, cache_folder()),
        training=training,
        distillation=KdDistillation(alpha=1.0),
        width=config.teacher.model.width,
        order_seed=derive_seed("teacher order", 11, member),
    )
    list(alone.epochs(until=training.epochs))
    for name, value in bank.load(member).model.body.state_dict().items():
        torch.testing.assert_close(value, alone.kept_state[name], atol=1e-5, rtol=1e-4)
    students, views = seen_by_students(config), config.data.augment
    alike = plain_data(config.data, cache_folder())
    for epoch in (1, 2, 3):
        seen = students.at_epoch(epoch)
        assert torch.equal(seen.train_x, alike.at_epoch(epoch).train_x)
        assert seen.teacher_train is not None
        assert torch.equal(seen.teacher_train, asked(bank, seen.train_x))
    first, second = (students.at_epoch(epoch).train_x for epoch in (1, 2))
    assert torch.equal(first, second) is (views is None)


@pytest.mark.parametrize("changes", [JITTERED_TEACHER, JITTERED_STUDENTS], ids=["own", "none"])
def test_a_cohort_learns_from_such_teachers(changes: dict[str, Any], make_task: MakeTask) -> None:
    config = with_teachers(small_study(**changes))
    log = drive(make_task(config=config), Log())
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    val = load_data(config.data, cache_folder()).val
    for outcome in log.outcomes.values():
        assert outcome.val is not None
        assert outcome.val.num_samples == len(val)
    assert max(o.val.agreement for o in log.outcomes.values() if o.val) > 0.5


OMIT = {"omit_classes": [3, 7]}


@pytest.mark.parametrize(
    "section",
    [{}, {"train_fraction": 0.4}, {"augment": VIEWS}, {"train_fraction": 0.4, "augment": VIEWS}],
    ids=str,
)
def test_students_see_no_sample_of_a_class_and_teachers_do(section: dict[str, Any]) -> None:
    whole = with_teachers(small_study(data={"kind": "digits"} | section))
    part = small_study(data={"kind": "digits", "transfer": OMIT} | section)
    assert bank_of(part).key == bank_of(whole).key
    cache = cache_folder()
    ids, kept = (load_data(config.data, cache).train.ids for config in (whole, part))
    rows = torch.searchsorted(ids, kept)
    assert torch.equal(ids[rows], kept)
    every, some = seen_by_students(whole), seen_by_students(part)
    dataset = load_data(part.data, cache)
    for epoch in (1, 2):
        all_of_them, left = every.at_epoch(epoch), some.at_epoch(epoch)
        assert all_of_them.teacher_train is not None
        assert torch.equal(left.teacher_train, all_of_them.teacher_train[:, rows])
        assert torch.equal(left.train_y, all_of_them.train_y[rows])
        assert not set(left.train_y.tolist()) & {3, 7}
        x = left.train_x * dataset.std + dataset.mean  # each student's own normalisation
        whole_data = load_data(whole.data, cache)
        expected = all_of_them.train_x[rows] * whole_data.std + whole_data.mean
        torch.testing.assert_close(x, expected, atol=1e-4, rtol=1e-5)
    assert torch.equal(some.val_y, every.val_y)
    assert torch.equal(some.teacher_val, every.teacher_val)
    banks = [measure_bank(c.teacher, c.data, cache, opened_by="test") for c in (whole, part)]
    assert banks[0] == banks[1]


def test_what_students_know_of_an_omitted_class_comes_from_soft_targets_alone(
    make_task: MakeTask,
) -> None:
    """Hard labels never say the class; a teacher's soft ones do (Hinton et al. 2015)."""
    config = with_teachers(small_study(data={"kind": "digits", "transfer": {"omit_classes": [3]}}))
    settings = [
        {"width": 32, "learning_rate": 0.02, "alpha": alpha, "temperature": 8.0}
        for alpha in (0.0, 1.0)
    ]
    task = make_task(config=config, settings=settings)
    log = drive(task, Log())
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    biases = [
        float(load_file(students_path(task.students, key))["readout.bias"][3])
        for key in sorted(log.outcomes)
    ]
    assert biases[0] > biases[1], "hard labels only push the class down"


LAST = {"training.keep": "last"}


def with_engine(task: CohortTask, engine: str, folder: Path) -> CohortTask:
    return replace(task, engine=engine, checkpoint=folder / f"{engine}.pt", students=folder)


def check_that_the_last_is_kept(task: CohortTask, log: Log) -> None:
    assert {o.state for o in log.outcomes.values()} == {"COMPLETE"}
    for row in task.specs:
        outcome = log.outcomes[row.key]
        assert outcome.val is not None
        assert outcome.best_epoch == outcome.epochs == len(outcome.history)
        assert outcome.val.accuracy == pytest.approx(outcome.history[-1].val_accuracy)
        assert outcome.val.loss == pytest.approx(outcome.history[-1].val_loss, abs=1e-5)
        alone = reference(row.key, task)
        weights = load_file(students_path(task.students, row.key))
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(weights[name], value, atol=1e-4, rtol=1e-3)


def reference(key: str, task: CohortTask) -> StudentRun:
    """The last epoch's model of a row, by the reference loop."""
    (row,) = (row for row in task.specs if row.key == key)
    student = Student(row, task)
    training = row.trial.training.model_copy(update={"keep": "best"})
    run = StudentRun(
        student.body,
        student.data,
        training=training,
        distillation=row.trial.distillation,
        width=row.trial.student.width,
        order_seed=row.order_seed,
    )
    list(run.epochs(until=training.epochs))
    return run


def test_the_last_weights_are_kept_by_both_engines(make_task: MakeTask, tmp_path: Path) -> None:
    # So fast that some epoch before the last validates best.
    settings = [{"learning_rate": 0.03, "alpha": a, "width": w} | LAST for a, w in
                ((0.2, 8), (0.5, 8), (0.5, 12))]  # fmt: skip
    task = make_task(settings=settings)
    log = drive(task, Log())
    check_that_the_last_is_kept(task, log)
    assert any(
        max(m.val_accuracy for m in o.history) > o.history[-1].val_accuracy
        for o in log.outcomes.values()
    ), "else this shows nothing"


def test_the_last_weights_of_convolutions(make_task: MakeTask, signal_study: StudyConfig) -> None:
    student = {"kind": "conv1d", "width": 4, "depth": 2}
    tree = signal_study.model_dump(mode="json") | {"student": student}
    rates = [{"learning_rate": rate, "training.epochs": 4} | LAST for rate in (0.003, 0.001)]
    task = make_task(config=StudyConfig.model_validate(tree), settings=rates)
    check_that_the_last_is_kept(task, drive(task, Log()))


def test_patience_counts_from_the_best_epoch_whichever_is_kept(make_task: MakeTask) -> None:
    patient = {"learning_rate": 0.05, "training.patience": 1, "training.epochs": 40}
    task = make_task(settings=[patient, patient | LAST])
    best, last = drive(task, Log()).outcomes.values()
    assert best.history == last.history
    assert best.epochs < 40
    assert best.best_epoch == best.epochs - 1
    assert last.best_epoch == last.epochs
    scores = [m.val_accuracy for m in last.history]
    assert scores.index(max(scores)) + 1 == best.best_epoch


def test_a_leg_is_ranked_by_its_best_epoch_whichever_is_kept(make_task: MakeTask) -> None:
    task = make_task(settings=[{"learning_rate": 0.05}, {"learning_rate": 0.05} | LAST], until=5)
    first, second = drive(task, Log()).paused.values()
    assert first == second
