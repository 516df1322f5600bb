"""One row of a cohort: a student from its first weights to its measured outcome."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from kdsearch.distill import ensemble_logits
from kdsearch.execution.materials import ensemble_test_logits, load_data, taught_data
from kdsearch.execution.task import CohortTask, Row, ScoreName
from kdsearch.models import build_model, count_capacity, predict_logits
from kdsearch.results import EpochMetrics, Evaluation, Outcome, State
from kdsearch.training import StudentRun, evaluate_logits, select_device


class Student:
    """A training run with what the study wants to know about it besides."""

    def __init__(self, row: Row, task: CohortTask) -> None:
        self.row = row
        self.train_seconds = 0.0
        self._task = task
        self._dataset = load_data(row.trial.data, task.cache)
        trial = row.trial
        body = build_model(
            trial.student,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            seed=row.seed,
        )
        self._capacity = count_capacity(body, self._dataset.input_shape)
        device = select_device(trial.training.device)
        data = taught_data(trial.data, trial.teacher, task.teacher_data, task.cache)
        self.run = StudentRun(
            body.to(device),
            data.to(device),
            training=trial.training,
            distillation=trial.distillation,
            width=trial.student.width,
            order_seed=row.order_seed,
            score=lambda metrics: score_of(metrics, task.score),
        )

    def epochs(self, *, until: int) -> Iterator[EpochMetrics]:
        """Train to an epoch, counting the seconds."""
        started = time.perf_counter()
        for metrics in self.run.epochs(until=until):
            self.train_seconds += time.perf_counter() - started
            yield metrics
            started = time.perf_counter()

    def outcome(self, state: State) -> Outcome:
        """Measure the best weights on validation, and on the test set where the row may."""
        self.run.model.load_state_dict(self.run.best_state)
        dataset, task = self._dataset, self._task
        trial = self.row.trial
        data = taught_data(trial.data, trial.teacher, task.teacher_data, task.cache)
        assert data.teacher_val is not None
        test, correct = None, None
        if self.row.opens_test:
            test, correct = self._measure_test()
        return Outcome(
            state=state,
            **self._capacity._asdict(),
            epochs=self.run.epoch,
            best_epoch=self.run.best_epoch,
            train_seconds=self.train_seconds,
            val=evaluate_logits(self._logits(data.val_x), dataset.val.y, data.teacher_val),
            test=test,
            test_correct=correct,
            history=tuple(self.run.history),
        )

    def failed(self, reason: str) -> Outcome:
        """The outcome of a student that cannot go on."""
        return Outcome(
            state="FAIL",
            **self._capacity._asdict(),
            epochs=self.run.epoch,
            train_seconds=self.train_seconds,
            history=tuple(self.run.history),
            failure=reason,
        )

    def save_weights(self, path: Path) -> None:
        """Write the best weights atomically as safetensors."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        save_file({k: v.cpu().contiguous() for k, v in self.run.best_state.items()}, temporary)
        temporary.replace(path)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"run": self.run.state_dict(), "train_seconds": self.train_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.run.load_state_dict(state["run"])
        self.train_seconds = state["train_seconds"]

    def _logits(self, x: Tensor) -> Tensor:
        device = next(self.run.model.parameters()).device
        return predict_logits(self.run.model, x.to(device)).cpu()

    def _measure_test(self) -> tuple[Evaluation, str]:
        trial, task = self.row.trial, self._task
        test = self._dataset.test.open(by=self.row.key)
        members = ensemble_test_logits(
            trial.teacher, task.teacher_data, task.cache, opened_by=self.row.key
        )
        teacher = ensemble_logits(members, size=len(members), mode=trial.teacher.ensemble_mode)
        logits = self._logits((test.x - self._dataset.mean) / self._dataset.std)
        correct = logits.argmax(dim=1) == test.y
        return evaluate_logits(logits, test.y, teacher), pack_flags(correct)


def score_of(metrics: EpochMetrics, name: ScoreName) -> float:
    """An epoch's score; higher is better."""
    match name:
        case "val_accuracy":
            return metrics.val_accuracy
        case "val_agreement":
            return metrics.val_agreement
        case "val_loss":
            return -metrics.val_loss


def pack_flags(flags: Tensor) -> str:
    """Flags [N] as base64 of numpy.packbits."""
    return base64.b64encode(np.packbits(flags.cpu().numpy()).tobytes()).decode()


def students_path(folder: Path, row_key: str) -> Path:
    """Where a row's weights wait for the coordinator."""
    return folder / f"{row_key.replace('/', '-')}.safetensors"


def single_threaded() -> None:
    """One intra-op thread, here and in every worker: more would change the order of sums."""
    torch.set_num_threads(1)
