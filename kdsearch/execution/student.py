"""One row of a cohort: a student from its first weights to its measured outcome."""

import base64
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from kdsearch.distill import ensemble_logits
from kdsearch.execution.materials import (
    ensemble_test_logits,
    load_data,
    resident_data,
    taught_data,
)
from kdsearch.execution.task import CohortTask, Row
from kdsearch.models import Normalization, build_model, count_capacity, predict_logits
from kdsearch.results import EpochMetrics, Evaluation, Outcome, State
from kdsearch.results.score import epoch_score
from kdsearch.training import Progress, evaluate_logits, select_device


class Student:
    """What an engine trains, and what the study wants to know about it besides."""

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
        self.body = body.to(device)
        self.data = resident_data(
            trial.data, trial.teacher, task.teacher_data, task.cache, device=device
        )
        self.progress = Progress(trial.training, self.score)
        """An engine may put its own in place of this empty one."""

    def score(self, metrics: EpochMetrics) -> float:
        """An epoch's score under the study's objective."""
        return epoch_score(metrics, self._task.score)

    def outcome(self, state: State) -> Outcome:
        """Measure the best weights on validation, and on the test set where the row may."""
        self.body.load_state_dict(self.progress.best_state)
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
            epochs=self.progress.epoch,
            best_epoch=self.progress.best_epoch,
            train_seconds=self.train_seconds,
            val=evaluate_logits(self._logits(data.val_x), dataset.val.y, data.teacher_val),
            test=test,
            test_correct=correct,
            history=tuple(self.progress.history),
        )

    def failed(self, reason: str) -> Outcome:
        """The outcome of a student that cannot go on."""
        return Outcome(
            state="FAIL",
            **self._capacity._asdict(),
            epochs=self.progress.epoch,
            train_seconds=self.train_seconds,
            history=tuple(self.progress.history),
            failure=reason,
        )

    def save_weights(self, path: Path) -> None:
        """Write the best weights atomically as safetensors."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        best = self.progress.best_state
        save_file({k: v.cpu().contiguous().clone() for k, v in best.items()}, temporary)
        temporary.replace(path)

    def _logits(self, x: Tensor) -> Tensor:
        device = next(self.body.parameters()).device
        return predict_logits(self.body, x.to(device)).cpu()

    def _measure_test(self) -> tuple[Evaluation, str]:
        trial, task = self.row.trial, self._task
        test = self._dataset.test.open(by=self.row.key)
        normalize = Normalization(self._dataset.mean, self._dataset.std)
        members = ensemble_test_logits(
            trial.teacher, task.teacher_data, task.cache, opened_by=self.row.key
        )
        teacher = ensemble_logits(members, size=len(members), mode=trial.teacher.ensemble_mode)
        logits = self._logits(normalize(test.x))
        correct = logits.argmax(dim=1) == test.y
        return evaluate_logits(logits, test.y, teacher), pack_flags(correct)


def pack_flags(flags: Tensor) -> str:
    """Flags [N] as base64 of numpy.packbits."""
    return base64.b64encode(np.packbits(flags.cpu().numpy()).tobytes()).decode()


def students_path(folder: Path, row_key: str) -> Path:
    """Where a row's weights wait for the coordinator."""
    return folder / f"{row_key.replace('/', '-')}.safetensors"


def single_threaded() -> None:
    """One intra-op thread, here and in every worker: more would change the order of sums."""
    torch.set_num_threads(1)
