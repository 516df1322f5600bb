"""What one student's training has shown so far, whichever engine trains it."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from kdsearch.config import Metric, TrainingConfig
from kdsearch.results import EpochMetrics

Monitor = Callable[[EpochMetrics], float]
"""The score of an epoch, higher is better."""


def val_accuracy(metrics: EpochMetrics) -> float:
    """The default score."""
    return metrics.val_accuracy


class Progress:
    """Epoch by epoch history, and the weights that are the result: `training.keep` says whose."""

    def __init__(
        self,
        config: TrainingConfig,
        score: Monitor = val_accuracy,
        measured: Sequence[Metric] = (),
    ) -> None:
        self.history: list[EpochMetrics] = []
        self.best_epoch = 0
        """The one with the best score; 0 before the first."""
        self.measured = measured
        """What `score` reads of an epoch beside accuracy, loss and agreement."""
        self.kept_state: dict[str, Tensor] = {}
        self._config = config
        self._score = score

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    @property
    def is_finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        patience = self._config.patience
        waited = self.epoch - self.best_epoch
        return self.epoch >= self._config.epochs or (patience is not None and waited >= patience)

    @property
    def kept_epoch(self) -> int:
        """The epoch of `kept_state`; 0 before the first."""
        return self.best_epoch if self._config.keep == "best" else self.epoch

    @property
    def kept(self) -> EpochMetrics:
        """Metrics of the kept epoch."""
        return self.history[self.kept_epoch - 1]

    @property
    def best_score(self) -> float:
        """Score of the best epoch so far; -inf before the first."""
        return self._score(self.history[self.best_epoch - 1]) if self.history else -math.inf

    def add(self, metrics: EpochMetrics, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Take in an epoch; `weights` is asked for a copy of the weights if they are kept."""
        is_best = self._score(metrics) > self.best_score
        self.history.append(metrics)
        if is_best:
            self.best_epoch = metrics.epoch
        if is_best or self._config.keep == "last":
            self.kept_state = weights()

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "history": [metrics.model_dump() for metrics in self.history],
            "best_epoch": self.best_epoch,
            "best_state": self.kept_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.history = [EpochMetrics.model_validate(metrics) for metrics in state["history"]]
        self.best_epoch = state["best_epoch"]
        self.kept_state = state["best_state"]
