"""The reference loop: one student, plain PyTorch, top to bottom.

Every fast path is tested against it. B batch, N samples, C classes, K teachers.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.config import DistillationConfig, Metric, TrainingConfig
from kdsearch.config.seed import derive_seed
from kdsearch.distill import build_loss, prepared_rows
from kdsearch.errors import DivergedError
from kdsearch.models import CLASSIFICATION, predict_logits, scale_readout
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.evaluation import measure_epoch
from kdsearch.training.metrics import share_of
from kdsearch.training.optimizer import build_optimizer, schedule_factor
from kdsearch.training.progress import Monitor, Progress, val_accuracy


class StudentRun(Progress):
    """One model being trained: step, validate, keep the best; stops and goes on at epochs.

    `state_dict` and `load_state_dict` resume exactly.
    """

    def __init__(
        self,
        model: nn.Module,
        data: TrainingData,
        *,
        training: TrainingConfig,
        distillation: DistillationConfig,
        width: int,
        order_seed: int,
        score: Monitor = val_accuracy,
        measured: Sequence[Metric] = (),
    ) -> None:
        """Set up a run; nothing is trained yet.

        Args:
            model: Freshly built; reads normalised samples. Trained in place.
            data: Already on the device that the model is on.
            training: How to train; `lr_scaling: mup` rescales the readout here.
            distillation: How to teach.
            width: The model's width, for muP.
            order_seed: Decides the batches; runs with equal seeds see equal batches.
            score: Ranks epochs.
            measured: What it reads of them beside accuracy, loss and agreement.
        """
        super().__init__(training, score, measured)
        self.model = in_fast_layout(model)
        self._data = data
        self._distillation = distillation
        self._order_seed = order_seed
        self._seen = data.at_epoch(1)
        self._loss = build_loss(distillation)
        self._prepared = self._ask_teachers()
        if training.lr_scaling == "mup":
            scale_readout(model, width=width, base_width=training.mup_base_width)
        self._optimizer = build_optimizer(model, training, width=width)
        self._constrain = constraint_of(model)

    def epochs(self, *, until: int) -> Iterator[EpochMetrics]:
        """Train up to and including epoch `until`, or until the run is finished.

        Yields the metrics of each epoch; whoever stops iterating can go on later.

        Raises:
            DivergedError: The loss became NaN or infinite.
        """
        while self.epoch < until and not self.is_finished:
            metrics = self._validate(self._train_epoch())
            self.add(metrics, self._copy_weights)
            yield metrics

    def _train_epoch(self) -> float:
        torch.manual_seed(derive_seed("epoch", self._order_seed, self.epoch))  # dropout, if any
        self.model.train()
        data, config = self._see(self.epoch + 1), self._config
        order = epoch_order(self._order_seed, self.epoch + 1, len(data.train_y))
        batches = order.to(data.train_y.device).split(config.batch_size)
        total = torch.zeros((), dtype=torch.float64, device=data.train_y.device)
        for index, batch in enumerate(batches):
            self._set_learning_rate(self.epoch + index / len(batches))
            logits = self.model(data.train_x[batch])
            rows = None if self._prepared is None else self._prepared[batch]
            loss = self._loss.batch_loss(logits, rows, data.train_y[batch])
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._constrain()
            total += loss.detach() * len(batch)
        return self._checked(float(total) / len(data.train_y), "training")

    def _see(self, epoch: int) -> TrainingData:
        """The data of an epoch; what the teachers say about it is prepared when it changes."""
        data = self._data.at_epoch(epoch)
        if data is not self._seen:
            self._seen = data
            self._prepared = self._ask_teachers()
        return data

    def _ask_teachers(self) -> Tensor | None:
        return prepared_rows(self._loss, self._distillation, self._seen.teacher_train)

    def _set_learning_rate(self, epochs_done: float) -> None:
        rate = self._config.learning_rate * schedule_factor(self._config, epochs_done)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]
        self._learning_rate = rate

    def _checked(self, loss: float, split: str) -> float:
        if not math.isfinite(loss):
            raise DivergedError(
                f"the {split} loss became {loss} in epoch {self.epoch + 1} at learning rate "
                f"{self._config.learning_rate:.3g}"
            )
        return loss

    def _validate(self, train_loss: float) -> EpochMetrics:
        data = self._data
        logits = predict_logits(self.model, data.val_x)
        predicted = logits.argmax(dim=1)
        teacher, epoch = data.teacher_val, self.epoch + 1
        return EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val_accuracy=share_of(predicted == data.val_y),
            val_loss=self._checked(
                float(CLASSIFICATION.hard_loss(logits, data.val_y)), "validation"
            ),
            val_agreement=0.0 if teacher is None else share_of(predicted == teacher.argmax(dim=1)),
            learning_rate=self._learning_rate,
            more=measure_epoch(self.measured, logits, data.val_y, teacher, epoch=epoch),
        )

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on exactly: tensors and plain values only."""
        return super().state_dict() | {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        super().load_state_dict(state)


def in_fast_layout(model: nn.Module) -> nn.Module:
    """The model, its 2-D convolutions channels-last on a CPU: 1.4 to 1.8 times as fast there."""
    weights = [p for p in model.parameters() if p.dim() == 4]
    if weights and all(p.device.type == "cpu" for p in weights):
        return model.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]
    return model


def constraint_of(model: nn.Module) -> Callable[[], object]:
    """What the model wants called after each step of the optimizer: its method `constrain`."""
    constrain = getattr(model, "constrain", None)
    return constrain if callable(constrain) else lambda: None
