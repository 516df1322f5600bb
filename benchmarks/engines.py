"""kdsearch's engines as a benchmark calls them: the same function signature as the loops."""

import time
from collections.abc import Sequence

from torch import nn

from benchmarks.loops import Trained
from benchmarks.problem import Spec, build
from kdsearch.config import MlpModel
from kdsearch.training import (
    FunctionalPopulation,
    MlpPopulation,
    PopulationStudent,
    Progress,
    StudentRun,
    TrainingData,
)

CHUNK = 16
"""Students of a population, as the product has it."""


def train_reference(
    specs: Sequence[Spec], data: TrainingData, teachers: Sequence[nn.Module], *, epochs: int
) -> Trained:
    """`StudentRun`, one student after the other."""
    losses, accuracies, setup_seconds, train_seconds = [], [], 0.0, 0.0
    for spec in specs:
        started = time.perf_counter()
        run = StudentRun(
            build(spec, data),
            data,
            training=spec.training(epochs),
            distillation=spec.distillation(num_members(data)),
            width=spec.student.width,
            order_seed=spec.order_seed,
        )
        begun = time.perf_counter()
        for _ in run.epochs(until=epochs):
            pass
        setup_seconds += begun - started
        train_seconds += time.perf_counter() - begun
        losses.append([metrics.train_loss for metrics in run.history])
        accuracies.append([metrics.val_accuracy for metrics in run.history])
    return Trained(losses, accuracies, setup_seconds, train_seconds, 0.0)


def train_population(
    specs: Sequence[Spec], data: TrainingData, teachers: Sequence[nn.Module], *, epochs: int
) -> Trained:
    """`MlpPopulation` (mlp) or `FunctionalPopulation` (others), 16 students at a time."""
    losses, accuracies, setup_seconds, train_seconds = [], [], 0.0, 0.0
    for start in range(0, len(specs), CHUNK):
        started = time.perf_counter()
        members = [
            PopulationStudent(
                build(spec, data),
                spec.training(epochs),
                spec.distillation(num_members(data)),
                Progress(spec.training(epochs)),
                spec.order_seed,
            )
            for spec in specs[start : start + CHUNK]
        ]
        population = stack(members, data, specs[start])
        begun = time.perf_counter()
        for _ in population.epochs(until=epochs):
            pass
        setup_seconds += begun - started
        train_seconds += time.perf_counter() - begun
        for member in members:
            losses.append([metrics.train_loss for metrics in member.progress.history])
            accuracies.append([m.val_accuracy for m in member.progress.history])
    return Trained(losses, accuracies, setup_seconds, train_seconds, 0.0)


def stack(
    members: Sequence[PopulationStudent], data: TrainingData, first: Spec
) -> MlpPopulation | FunctionalPopulation:
    """The population that kdsearch would train such members in."""
    if isinstance(first.student, MlpModel):
        return MlpPopulation(members, data)
    return FunctionalPopulation(members, data, width=first.student.width)


def num_members(data: TrainingData) -> int:
    """Teachers whose logits are cached."""
    assert data.teacher_train is not None
    return len(data.teacher_train)
