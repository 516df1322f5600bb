"""One student of a cohort, from its first weights to its measured outcome."""

import base64
from dataclasses import replace
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
from kdsearch.execution.task import CohortTask, StudentSpec
from kdsearch.models import Normalization, build_model, count_capacity, predict_logits
from kdsearch.results import EpochMetrics, Evaluation, Outcome, State
from kdsearch.results.score import epoch_score, measured_each_epoch
from kdsearch.training import Progress, evaluate_logits, select_device


class Student:
    """What an engine trains, and what the study wants to know about it besides."""

    def __init__(self, spec: StudentSpec, task: CohortTask, *, with_val: bool = False) -> None:
        """Build it.

        Args:
            spec: Who it is.
            task: Its cohort.
            with_val: Whether it is trained on the validation samples, too.
        """
        self.spec = spec
        self.train_seconds = 0.0
        self.first: Student | None = None
        """Whom it refits; None for a student that validation is for."""
        self._task = task
        self._with_val = with_val
        self._dataset = load_data(spec.trial.data, task.cache)
        trial = spec.trial
        body = build_model(
            trial.student,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            input_dtype=self._dataset.input_dtype,
            seed=spec.seed,
        )
        samples = self._dataset.input_shape, self._dataset.input_dtype
        self._capacity = count_capacity(body, *samples)
        device = select_device(trial.training.device)
        self.body = body.to(device)
        self.data = resident_data(
            trial.data,
            trial.teacher,
            task.teacher_data,
            task.cache,
            device=device,
            with_val=with_val,
        )
        self.measured = measured_each_epoch(task.ranking, task.own_metrics)
        """What its epochs are ranked by, beside what is always measured."""
        self.progress = Progress(trial.training, self.score, self.measured)
        """An engine may put its own in place of this empty one."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample's forward pass: its share of a common step's work."""
        return max(self._capacity.macs, 1)

    def score(self, metrics: EpochMetrics) -> float:
        """An epoch's score under the study's objective."""
        return epoch_score(metrics, self._task.ranking)

    def refit(self) -> "Student":
        """The student as it begins again, on the validation samples, too.

        Its schedule is that of the epochs after which this one's weights were kept.
        """
        trial, epochs = self.spec.trial, self.progress.kept_epoch
        training = trial.training.model_copy(
            update={
                "epochs": epochs,
                "keep": "last",
                "patience": None,
                "warmup_epochs": min(trial.training.warmup_epochs, epochs - 1),
            }
        )
        again = trial.model_copy(update={"training": training})
        spec = replace(self.spec, key=f"{self.spec.key}/refit", trial=again)
        final = Student(spec, self._task, with_val=True)
        final.first = self
        return final

    def untrained(self) -> "Student":
        """The same student before its first epoch."""
        fresh = Student(self.spec, self._task, with_val=self._with_val)
        fresh.first = self.first
        return fresh

    def outcome(self, state: State, *, final: "Student | None" = None) -> Outcome:
        """Measure the kept weights on validation, and on the test set where it may.

        Args:
            state: How training ended.
            final: The student's refit, which the test set measures in its place.
        """
        self.body.load_state_dict(self.progress.kept_state)
        dataset, task = self._dataset, self._task
        trial = self.spec.trial
        data = taught_data(
            trial.data, trial.teacher, task.teacher_data, task.cache, with_val=False
        )
        assert data.teacher_val is not None
        test, correct = None, None
        seconds = self.train_seconds
        if final is not None:
            final.body.load_state_dict(final.progress.kept_state)
            seconds += final.train_seconds
        if self.spec.opens_test:
            test, correct = (final or self)._measure_test(self.spec.key)
        return Outcome(
            state=state,
            **self._capacity._asdict(),
            epochs=self.progress.epoch,
            best_epoch=self.progress.kept_epoch,
            train_seconds=seconds,
            val=self._evaluate(self._logits(data.val_x), dataset.val.y, data.teacher_val),
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
        """Write the kept weights atomically as safetensors."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        kept = self.progress.kept_state
        save_file({k: v.cpu().contiguous().clone() for k, v in kept.items()}, temporary)
        temporary.replace(path)

    def _logits(self, x: Tensor) -> Tensor:
        device = next(self.body.parameters()).device
        return predict_logits(self.body, x.to(device)).cpu()

    def _measure_test(self, opened_by: str) -> tuple[Evaluation, str]:
        trial, task = self.spec.trial, self._task
        test = self._dataset.test.open(by=opened_by)
        normalize = Normalization(self._dataset.mean, self._dataset.std)
        members = ensemble_test_logits(
            trial.teacher, task.teacher_data, task.cache, opened_by=opened_by
        )
        teacher = ensemble_logits(members, size=len(members), mode=trial.teacher.ensemble_mode)
        logits = self._logits(normalize(test.x))
        correct = logits.argmax(dim=1) == test.y
        return self._evaluate(logits, test.y, teacher), pack_flags(correct)

    def _evaluate(self, logits: Tensor, labels: Tensor, teacher: Tensor) -> Evaluation:
        return evaluate_logits(logits, labels, teacher, own=self._task.own_metrics)


def pack_flags(flags: Tensor) -> str:
    """Flags [N] as base64 of numpy.packbits."""
    return base64.b64encode(np.packbits(flags.cpu().numpy()).tobytes()).decode()


def students_path(folder: Path, key: str) -> Path:
    """Where a student's weights wait for the coordinator."""
    return folder / f"{key.replace('/', '-')}.safetensors"


def single_threaded() -> None:
    """One intra-op thread, here and in every worker: more would change the order of sums."""
    torch.set_num_threads(1)
