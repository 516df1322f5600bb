"""The work that all sides of a benchmark share: samples, teachers, students, settings.

N samples, C classes, K teachers.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kdsearch.cache import cache_folder
from kdsearch.config import (
    CnnModel,
    FashionMnistData,
    KdDistillation,
    MlpModel,
    ModelConfig,
    TrainingConfig,
)
from kdsearch.data import load_dataset
from kdsearch.data.sources.fashion_mnist import DEBIAN_FOLDER
from kdsearch.models import Normalization, build_model, predict_logits
from kdsearch.training import TrainingData

BATCH = 128
NUM_CLASSES = 10
SHAPE = (1, 28, 28)
ORDER_SEED = 0
TEACHER_WIDTH = 1200
TENSORS = ("train_x", "train_y", "val_x", "val_y", "teacher_train", "teacher_val")
SHARPNESS = 20.0
"""Factor of the random teachers' readout, which gives their logits the spread of trained ones."""


class Spec(NamedTuple):
    """One student and how it is taught; every student of a benchmark has its own."""

    student: ModelConfig
    seed: int
    temperature: float
    alpha: float
    learning_rate: float
    order_seed: int = ORDER_SEED

    def training(self, epochs: int) -> TrainingConfig:
        """The training section that all sides train by."""
        return TrainingConfig(
            epochs=epochs,
            batch_size=BATCH,
            learning_rate=self.learning_rate,
            schedule="constant",
        )

    def distillation(self, num_teachers: int) -> KdDistillation:
        """The distillation section that all sides teach by."""
        return KdDistillation(
            temperature=self.temperature, alpha=self.alpha, ensemble_size=num_teachers
        )


def mlp(width: int) -> MlpModel:
    """784-w-w-10."""
    return MlpModel(kind="mlp", width=width, depth=2)


def cnn(width: int) -> CnnModel:
    """Two convolutions of w and 2w channels, each with batch norm and pooling, and a readout."""
    return CnnModel(kind="cnn", width=width, depth=2)


def specs(students: Sequence[ModelConfig]) -> list[Spec]:
    """Students with settings that differ, in ascending order of width."""
    ordered = sorted(students, key=lambda student: student.width)
    return [
        Spec(
            student,
            seed=index,
            temperature=(2.0, 4.0, 8.0)[index % 3],
            alpha=(0.1, 0.3, 0.5, 0.7)[index % 4],
            learning_rate=(5e-4, 1e-3, 2e-3)[index % 3],
        )
        for index, student in enumerate(ordered)
    ]


def build(spec: Spec, data: TrainingData) -> Any:
    """The student with its initial weights, the same on every side."""
    shape = tuple(data.train_x.shape[1:])
    return build_model(spec.student, input_shape=shape, num_classes=NUM_CLASSES, seed=spec.seed)


def samples(num_train: int, num_val: int) -> TrainingData:
    """Fashion-MNIST as kdsearch normalises it, nobody teaching; noise of its shape without it.

    The speed is the same on either.
    """
    if is_installed():
        config = FashionMnistData(kind="fashion_mnist", val_fraction=1 / 6)
        dataset = load_dataset(config, cache=cache_folder())
        normalize = Normalization(dataset.mean, dataset.std)
        data = TrainingData(
            train_x=normalize(dataset.train.x),
            train_y=dataset.train.y,
            val_x=normalize(dataset.val.x),
            val_y=dataset.val.y,
            teacher_train=None,
            teacher_val=None,
        )
    else:
        draw = torch.Generator().manual_seed(0)
        data = TrainingData(
            train_x=torch.randn(50_000, *SHAPE, generator=draw),
            train_y=torch.randint(0, NUM_CLASSES, (50_000,), generator=draw),
            val_x=torch.randn(10_000, *SHAPE, generator=draw),
            val_y=torch.randint(0, NUM_CLASSES, (10_000,), generator=draw),
            teacher_train=None,
            teacher_val=None,
        )
    return data._replace(
        train_x=data.train_x[:num_train].contiguous(),
        train_y=data.train_y[:num_train].contiguous(),
        val_x=data.val_x[:num_val].contiguous(),
        val_y=data.val_y[:num_val].contiguous(),
    )


def is_installed() -> bool:
    """Whether Fashion-MNIST is on this machine."""
    return bool(os.environ.get("KDSEARCH_DATA")) or DEBIAN_FOLDER.is_dir()


def random_teachers(count: int) -> list[nn.Module]:
    """Teachers 784-1200-1200-10 with random weights: what one costs does not depend on them."""
    teachers = []
    for member in range(count):
        model = build_model(
            MlpModel(kind="mlp", width=TEACHER_WIDTH, depth=2),
            input_shape=SHAPE,
            num_classes=NUM_CLASSES,
            seed=1000 + member,
        )
        with torch.no_grad():
            model.readout.weight.mul_(SHARPNESS)  # pyrefly: ignore[missing-attribute]
        teachers.append(model.eval())
    return teachers


class Cached(NamedTuple):
    """Data with the logits of all teachers, and what making them took."""

    data: TrainingData
    seconds: float
    """Of one core, once for all students and studies."""


def with_logits(data: TrainingData, teachers: Sequence[nn.Module]) -> Cached:
    """The data with the cached logits [K, N, C] of some teachers."""
    started = time.perf_counter()
    train = torch.stack([predict_logits(teacher, data.train_x) for teacher in teachers])
    val = torch.stack([predict_logits(teacher, data.val_x) for teacher in teachers])
    taught = data._replace(teacher_train=train, teacher_val=val.mean(dim=0))
    return Cached(taught, time.perf_counter() - started)


def only(data: TrainingData, *, num_teachers: int, num_batches: int | None) -> TrainingData:
    """The same data with the first teachers and, if wanted, the first training batches only."""
    assert data.teacher_train is not None
    end = len(data.train_y) if num_batches is None else num_batches * BATCH
    return data._replace(
        train_x=data.train_x[:end],
        train_y=data.train_y[:end],
        teacher_train=data.teacher_train[:num_teachers, :end],
    )


def flops_per_sample(spec: Spec) -> tuple[int, int]:
    """Floating-point operations of a sample's training step and of its forward pass alone.

    Matrix products and convolutions only. Training takes the forward pass, the gradients of the
    weights and, behind the first layer, those of the layer's input.
    """
    width = spec.student.width
    match spec.student:
        case MlpModel():
            first, rest = 784 * width, width * width + width * NUM_CLASSES
        case CnnModel():
            first = 28 * 28 * 9 * width
            rest = 14 * 14 * 9 * width * 2 * width + 7 * 7 * 2 * width * NUM_CLASSES
        case _:
            raise ValueError(f"no count for {spec.student.kind}")
    return 2 * (2 * first + 3 * rest), 2 * (first + rest)


def save_data(data: TrainingData, path: Path) -> None:
    """For worker processes to load."""
    torch.save({name: getattr(data, name) for name in TENSORS}, path)


def load_data(path: Path) -> TrainingData:
    """What `save_data` wrote, resident in this process."""
    tensors: dict[str, Tensor] = torch.load(path, weights_only=True)
    return training_data(tensors)


def training_data(tensors: Mapping[str, Tensor]) -> TrainingData:
    """Data without augmentation, from tensors by field name."""
    return TrainingData(
        train_x=tensors["train_x"],
        train_y=tensors["train_y"],
        val_x=tensors["val_x"],
        val_y=tensors["val_y"],
        teacher_train=tensors["teacher_train"],
        teacher_val=tensors["teacher_val"],
    )
