"""What people train students with today: the guide's loop, and a careful user's plain loop.

Both are written to be fast in what they are: data in tensors, no conversion of images, Adam as
PyTorch has it. B batch, N samples, C classes.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.problem import BATCH, Spec, build
from kdsearch.training import TrainingData, epoch_order

VAL_BATCH = 512


class Trained(NamedTuple):
    """What training some students took and showed."""

    losses: list[list[float]]
    """Mean training loss of each student and epoch."""
    accuracies: list[list[float]]
    """On the validation set, of each student after each epoch."""
    setup_seconds: float
    """Before the first step: models, optimizers, targets."""
    train_seconds: float
    """Of all steps."""
    val_seconds: float
    """Of all validations, where they can be told from the steps; else 0."""


def guide_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    true_labels: Tensor,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    """The guide's `distillation_loss`, of logits [B, C] and labels [B]."""
    soft_targets = F.softmax(teacher_logits / temperature, dim=1)
    soft_log_probs = F.log_softmax(student_logits / temperature, dim=1)
    soft_loss = F.kl_div(soft_log_probs, soft_targets, reduction="batchmean")
    hard_loss = F.cross_entropy(student_logits, true_labels)
    return alpha * hard_loss + (1 - alpha) * soft_loss * (temperature**2)


def train_guide(
    specs: Sequence[Spec], data: TrainingData, teachers: Sequence[nn.Module], *, epochs: int
) -> Trained:
    """The guide's loop in an Optuna objective: live teachers, DataLoader, one student a trial.

    Its teachers' logits are averaged, as the guide says of ensembles, and the student is
    validated every epoch, which it recommends: Optuna needs a value to compare trials by.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    done: list[tuple[list[float], list[float], float, float]] = []

    def objective(trial: optuna.Trial) -> float:
        spec = specs[trial.number]
        temperature = trial.suggest_float("temperature", 1.0, 20.0, log=True)
        alpha = trial.suggest_float("alpha", 0.0, 1.0)
        learning_rate = trial.suggest_float("learning_rate", 1e-5, 1.0, log=True)
        losses, accuracies, train_seconds, val_seconds = [], [], 0.0, 0.0
        model = build(spec, data)
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        val_loader = DataLoader(TensorDataset(data.val_x, data.val_y), batch_size=VAL_BATCH)
        for epoch in range(1, epochs + 1):
            # `shuffle=True`, but in the order that all sides see.
            order = epoch_order(spec.order_seed, epoch, len(data.train_y)).tolist()
            loader = DataLoader(
                TensorDataset(data.train_x, data.train_y), batch_size=BATCH, sampler=order
            )
            started = time.perf_counter()
            model.train()
            total = 0.0
            for inputs, labels in loader:
                student_logits = model(inputs)
                with torch.no_grad():
                    answers = [teacher(inputs) for teacher in teachers]
                    teacher_logits = torch.stack(answers).mean(dim=0)
                loss = guide_loss(
                    student_logits,
                    teacher_logits,
                    labels,
                    temperature=temperature,
                    alpha=alpha,
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(labels)
            losses.append(total / len(data.train_y))
            validating = time.perf_counter()
            accuracies.append(validated(model, val_loader))
            train_seconds += validating - started
            val_seconds += time.perf_counter() - validating
        done.append((losses, accuracies, train_seconds, val_seconds))
        return accuracies[-1]

    started = time.perf_counter()
    study = optuna.create_study(direction="maximize")
    for spec in specs:
        study.enqueue_trial(
            {
                "temperature": spec.temperature,
                "alpha": spec.alpha,
                "learning_rate": spec.learning_rate,
            }
        )
    study.optimize(objective, n_trials=len(specs))
    seconds = time.perf_counter() - started
    train_seconds, val_seconds = sum(d[2] for d in done), sum(d[3] for d in done)
    return Trained(
        losses=[d[0] for d in done],
        accuracies=[d[1] for d in done],
        setup_seconds=seconds - train_seconds - val_seconds,
        train_seconds=train_seconds,
        val_seconds=val_seconds,
    )


def validated(model: nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> float:
    """Accuracy, as tutorials measure it."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            correct += (model(inputs).argmax(dim=1) == labels).sum().item()
            total += len(labels)
    return correct / total


def train_plain(
    specs: Sequence[Spec],
    data: TrainingData,
    teachers: Sequence[nn.Module],
    *,
    epochs: int,
    fused_adam: bool = False,
) -> Trained:
    """Cached logits and resident tensors, else as before: autograd, Adam, one student at a time.

    What does not change between steps is done before them: the ensemble's mean and its softened
    probabilities. The loss is added up without `item()`.

    Args:
        specs: The students.
        data: With cached logits.
        teachers: Not asked.
        epochs: Of each student.
        fused_adam: `Adam(fused=True)`, for users who know it; the default is PyTorch's.
    """
    del teachers
    assert data.teacher_train is not None
    mean = data.teacher_train.mean(dim=0)
    losses, accuracies, setup_seconds, train_seconds, val_seconds = [], [], 0.0, 0.0, 0.0
    for spec in specs:
        started = time.perf_counter()
        heat, alpha = spec.temperature, spec.alpha
        model = build(spec, data)
        optimizer = torch.optim.Adam(
            model.parameters(), lr=spec.learning_rate, fused=fused_adam or None
        )
        targets = F.softmax(mean / heat, dim=1)
        setup_seconds += time.perf_counter() - started
        losses.append([])
        accuracies.append([])
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            model.train()
            total = torch.zeros((), dtype=torch.float64)
            for batch in epoch_order(spec.order_seed, epoch, len(data.train_y)).split(BATCH):
                labels = data.train_y[batch]
                logits = model(data.train_x[batch])
                soft = F.kl_div(
                    F.log_softmax(logits / heat, dim=1), targets[batch], reduction="batchmean"
                )
                hard = F.cross_entropy(logits, labels)
                loss = alpha * hard + (1 - alpha) * heat**2 * soft
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(labels)
            losses[-1].append(float(total) / len(data.train_y))
            validating = time.perf_counter()
            model.eval()
            with torch.no_grad():
                chunks = data.val_x.split(VAL_BATCH)
                guesses = torch.cat([model(chunk).argmax(dim=1) for chunk in chunks])
            accuracies[-1].append(float((guesses == data.val_y).double().mean()))
            train_seconds += validating - started
            val_seconds += time.perf_counter() - validating
    return Trained(losses, accuracies, setup_seconds, train_seconds, val_seconds)
