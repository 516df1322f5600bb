"""A small classification problem with real teachers' logits, and runs on it."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.config import KdDistillation, MlpModel, TrainingConfig
from kdsearch.models import build_model
from kdsearch.training import StudentRun, TrainingData

NUM_TRAIN, NUM_VAL, NUM_FEATURES, NUM_CLASSES, NUM_TEACHERS = 150, 60, 12, 4, 3


def make_data(*, dtype: torch.dtype = torch.float32, image: bool = False) -> TrainingData:
    """Classes around centroids; teachers are noisy distances to them.

    Training sample i carries the number i in its first feature, out of 1000.
    """
    generator = torch.Generator().manual_seed(0)

    def randn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    count = NUM_TRAIN + NUM_VAL
    shape = (2, 8, 8) if image else (NUM_FEATURES,)
    y = torch.randint(0, NUM_CLASSES, (count,), generator=generator)
    centroids = randn(NUM_CLASSES, *shape)
    x = centroids[y] + randn(count, *shape)
    distances = (x[:, None] - centroids).flatten(2).square().sum(dim=2)
    logits = -0.5 * distances + randn(NUM_TEACHERS, count, NUM_CLASSES)
    if not image:
        x[:, 0] = torch.arange(count) / 1000
    return TrainingData(
        train_x=x[:NUM_TRAIN],
        train_y=y[:NUM_TRAIN],
        val_x=x[NUM_TRAIN:],
        val_y=y[NUM_TRAIN:],
        teacher_train=logits[:, :NUM_TRAIN].contiguous(),
        teacher_val=logits[:, NUM_TRAIN:].mean(dim=0),
    )


def make_model(seed: int = 0, *, width: int = 8) -> nn.Module:
    return build_model(
        MlpModel(kind="mlp", width=width, depth=2),
        input_shape=(NUM_FEATURES,),
        num_classes=NUM_CLASSES,
        seed=seed,
    )


def dropout_model(seed: int = 0) -> nn.Module:
    """Dropout and batch norm: everything that depends on the mode or draws random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(NUM_FEATURES, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(8, NUM_CLASSES),
        )


def training_config(**changes: Any) -> TrainingConfig:
    settings = {"epochs": 4, "batch_size": 32, "learning_rate": 1e-2, "device": "cpu"}
    return TrainingConfig.model_validate(settings | changes)


def teach(**changes: Any) -> KdDistillation:
    return KdDistillation.model_validate({"ensemble_size": 2} | changes)


def make_run(
    model: nn.Module | None = None,
    data: TrainingData | None = None,
    *,
    distillation: KdDistillation | None = None,
    order_seed: int = 0,
    width: int = 8,
    **training: Any,
) -> StudentRun:
    """A run of the small MLP, with any field of its training changed."""
    return StudentRun(
        make_model() if model is None else model,
        make_data() if data is None else data,
        training=training_config(**training),
        distillation=teach() if distillation is None else distillation,
        width=width,
        order_seed=order_seed,
    )


def finish(run: StudentRun) -> StudentRun:
    for _ in run.epochs(until=10_000):
        pass
    return run


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_weights(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Whether two state dicts agree bit for bit."""
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def num_batches(batch_size: int) -> int:
    return math.ceil(NUM_TRAIN / batch_size)
