"""Training the members of a teacher bank, and measuring what they and their ensembles know."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from kdsearch.config import (
    HARD_LABELS,
    DataConfig,
    EngineChoice,
    KdDistillation,
    Metric,
    TeacherConfig,
)
from kdsearch.config.seed import derive_seed
from kdsearch.data import Split
from kdsearch.distill import EnsembleMode, TeacherBank, TeacherInterrupted, ensemble_logits
from kdsearch.errors import UserInputError
from kdsearch.execution.materials import (
    load_data,
    open_bank,
    plain_data,
    taught_samples,
)
from kdsearch.execution.student import pack_flags
from kdsearch.execution.task import EpochDone, TeacherTask
from kdsearch.models import Classifier, count_capacity, describe_model, predict_logits
from kdsearch.results import (
    EnsembleRecord,
    Evaluation,
    TeacherBankRecord,
    TeacherRecord,
)
from kdsearch.training import (
    LoneRun,
    StudentRun,
    TrainingData,
    evaluate_logits,
    gains_alone,
    is_stackable,
    load_checkpoint,
    save_checkpoint,
    select_device,
)

CHECKPOINT_SECONDS = 15.0


def train_teacher(
    task: TeacherTask, should_stop: Callable[[], bool], emit: Callable[[EpochDone], None]
) -> None:
    """Make sure a member exists and its train and val logits are cached, emitting its epochs.

    Once `should_stop` is true, a checkpoint is saved and the function returns.
    """
    bank = open_bank(task.teacher, task.data, task.cache)

    def fit(model: nn.Module, folder: Path) -> TeacherRecord:
        return fit_member(model, folder, task=task, notify=emit, should_stop=should_stop)

    try:
        bank.ensure(task.member, fit, should_stop=should_stop)
    except TeacherInterrupted:
        return
    for samples in taught_samples(load_data(task.data.whole(), task.cache)):
        if should_stop():
            return
        bank.logits(samples, [task.member])


def fit_member(
    model: nn.Module,
    folder: Path,
    *,
    task: TeacherTask,
    notify: Callable[[EpochDone], None],
    should_stop: Callable[[], bool],
) -> TeacherRecord:
    """Train a member on hard labels with validation and early stopping, best weights kept.

    A pretrained model is only measured.
    """
    dataset = load_data(task.data, task.cache)
    epochs, seconds = 0, 0.0
    if isinstance(model, Classifier):
        run = _start_run(model, task)
        path = folder / "checkpoint.pt"
        seconds = _train(run, path, task, notify, should_stop)
        model.body.load_state_dict(run.kept_state)
        model.cpu()
        epochs = run.epoch
        path.unlink(missing_ok=True)
    counted = model.body if isinstance(model, Classifier) else model
    logits = predict_logits(model, dataset.val.x)
    return TeacherRecord(
        member=task.member,
        key="",
        model=describe_model(task.teacher.model),
        **count_capacity(counted, dataset.input_shape, dataset.input_dtype)._asdict(),
        epochs=epochs,
        train_seconds=seconds,
        val=evaluate_logits(logits, dataset.val.y, logits),
    )


def _start_run(model: Classifier, task: TeacherTask) -> StudentRun | LoneRun:
    training = task.teacher.training
    device = select_device(training.device, field="teacher.training.device")
    data = plain_data(task.teacher.data_of(task.data), task.cache).to(device)
    hard_labels = KdDistillation(alpha=HARD_LABELS)
    order_seed = derive_seed("teacher order", task.teacher.seed, task.member)
    body = model.body.to(device)
    return _run_of(body, data, training.engine)(
        body,
        data,
        training=training,
        distillation=hard_labels,
        width=task.teacher.model.width,
        order_seed=order_seed,
    )


def _run_of(
    body: nn.Module, data: TrainingData, engine: EngineChoice
) -> type[StudentRun] | type[LoneRun]:
    """What trains a member: a population of one where the section asks for it, or where it gains.

    Raises:
        UserInputError: It is asked for and cannot train such a module.
    """
    if engine == "auto":
        return LoneRun if gains_alone(body) else StudentRun
    if engine == "reference":
        return StudentRun
    if not gains_alone(body) and not is_stackable(body, data.train_x):
        raise UserInputError(
            "teacher.training.engine: this architecture cannot be trained as a population "
            "(dropout, or a forward pass that torch.func cannot follow); allowed are auto and "
            "reference"
        )
    return LoneRun


def _train(
    run: StudentRun | LoneRun,
    path: Path,
    task: TeacherTask,
    notify: Callable[[EpochDone], None],
    should_stop: Callable[[], bool],
) -> float:
    state: dict[str, Any] | None = load_checkpoint(path)
    seconds = 0.0
    if state is not None:
        run.load_state_dict(state["run"])
        seconds = state["train_seconds"]
    started = saved_at = time.monotonic()

    def save() -> None:
        elapsed = seconds + time.monotonic() - started
        save_checkpoint(path, {"run": run.state_dict(), "train_seconds": elapsed})

    for metrics in run.epochs(until=task.teacher.training.epochs):
        notify(EpochDone(task.key, metrics))
        if should_stop():
            save()
            raise TeacherInterrupted
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS:
            save()
            saved_at = time.monotonic()
    return seconds + time.monotonic() - started


def measure_bank(
    teacher: TeacherConfig,
    data: DataConfig,
    cache: Path,
    *,
    opened_by: str | None = None,
    own_metrics: Sequence[Metric] = (),
) -> TeacherBankRecord:
    """What the members and their nested ensembles score on validation.

    Args:
        teacher: A section whose members are all trained.
        data: What they were trained on.
        cache: Where they are.
        opened_by: Who opens the test set to measure it too (confirm stage); None leaves it
            sealed.
        own_metrics: The study's own, beside those of the table.

    Raises:
        UserInputError: One of the study's own metrics fails.
    """
    bank = open_bank(teacher, data, cache)
    dataset = load_data(data.whole(), cache)
    val, test = _ask(bank, dataset.val, teacher), None
    if opened_by is not None:
        test = _ask(bank, load_data(data, cache).test.open(by=opened_by), teacher)

    def score(asked: _Asked, logits: Tensor) -> Evaluation:
        everybody = asked.average(len(asked.logits))
        return evaluate_logits(logits, asked.labels, everybody, own=own_metrics)

    members = tuple(
        bank.load(m).record.model_copy(
            update={
                "val": score(val, val.logits[m - 1]),
                "test": score(test, test.logits[m - 1]) if test is not None else None,
            }
        )
        for m in bank.members
    )
    ensembles = tuple(
        EnsembleRecord(
            size=size,
            val=score(val, val.average(size)),
            test=score(test, test.average(size)) if test is not None else None,
            test_correct=test.correct(size) if test is not None else None,
        )
        for size in range(1, len(members) + 1)
    )
    return TeacherBankRecord(
        key=bank.key, members=members, ensembles=ensembles, num_classes=dataset.num_classes
    )


class _Asked(NamedTuple):
    """What the members say about a split of N samples."""

    labels: Tensor
    """[N]."""
    logits: Tensor
    """Of all members, [K, N, C]."""
    mode: EnsembleMode

    def average(self, size: int) -> Tensor:
        """Logits [N, C] of members 1..size together."""
        return ensemble_logits(self.logits, size=size, mode=self.mode)

    def correct(self, size: int) -> str:
        """Which samples they get right, as records keep it."""
        return pack_flags(self.average(size).argmax(dim=1) == self.labels)


def _ask(bank: TeacherBank, split: Split, teacher: TeacherConfig) -> _Asked:
    return _Asked(split.y, bank.member_logits(split, split.ids), teacher.ensemble_mode)
