"""What training costs on one core, from step counts and multiply-accumulates."""

import math
from typing import NamedTuple

from kdsearch.config import (
    Conv1dModel,
    MlpModel,
    ModelConfig,
    PrunerConfig,
    StudyConfig,
    TrialConfig,
)
from kdsearch.data import Dataset
from kdsearch.models import count_model
from kdsearch.study.proposal.lane import Lane
from kdsearch.study.proposal.pruning import rung_epochs


class Pace(NamedTuple):
    """What one core does of a training (measured on small models)."""

    step_seconds: float
    """Of an optimisation step, whatever its size."""
    macs_per_second: float


LOOP, MLPS, SIGNALS = Pace(1e-3, 15e9), Pace(5e-5, 50e9), Pace(1e-4, 25e9)
"""Of the reference loop, and of populations of MLPs and of conv1d."""
HARNESS_SECONDS = 0.15
"""Of a student, whatever it is: Optuna, MLflow and its model."""
BACKWARD_FACTOR = 3
"""A training step's arithmetic as a multiple of its forward pass."""


class LaneCost(NamedTuple):
    """Estimated core-seconds of training one student of a lane."""

    whole: float
    """To its last epoch."""
    search: float
    """For the epochs that the pruner leaves to the average trial."""
    confirm: float
    """With its refit, if it has one."""

    @classmethod
    def of(cls, config: StudyConfig, lane: Lane, dataset: Dataset) -> "LaneCost":
        """Of students in `lane`."""
        whole = train_seconds(config.trial_config(dict(lane.stratum)), dataset)
        again = 1 + len(dataset.val) / len(dataset.train) if config.confirm.refit else 0.0
        return cls(
            whole, whole * search_share(config.pruner, config.training.epochs), whole * (1 + again)
        )


def train_seconds(trial: TrialConfig, dataset: Dataset) -> float:
    """One training to the last epoch."""
    macs = count_model(
        trial.student,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        input_dtype=dataset.input_dtype,
    ).macs
    training = trial.training
    steps = math.ceil(len(dataset.train) / training.batch_size)
    pace = LOOP if training.engine == "reference" else _pace_of(trial.student)
    arithmetic = len(dataset.train) * macs * BACKWARD_FACTOR / pace.macs_per_second
    return training.epochs * (steps * pace.step_seconds + arithmetic)


def search_share(pruner: PrunerConfig, epochs: int) -> float:
    """Epochs of a search trial as a share of the whole training, as the pruner leaves them."""
    rungs = [*rung_epochs(pruner, epochs), epochs]
    keep = 0.5 if pruner.kind == "median" else 1 / pruner.reduction_factor
    spent, share, before = 0.0, 1.0, 0
    for rung in rungs:
        spent += share * (rung - before)
        share, before = share * keep, rung
    return pruner.exempt + (1 - pruner.exempt) * spent / epochs


def _pace_of(model: ModelConfig) -> Pace:
    """At which such students are trained where the study leaves the engine open."""
    if isinstance(model, MlpModel) and not model.is_regularized:
        return MLPS
    return SIGNALS if isinstance(model, Conv1dModel) else LOOP
