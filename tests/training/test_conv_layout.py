"""Images train channels-last on a CPU, at the losses of the plain layout."""

import pytest
import torch

from kdsearch.config import CnnModel, KdDistillation, TrainingConfig
from kdsearch.models import build_model
from kdsearch.training import StudentRun, TrainingData

SHAPE, EPOCHS = (1, 28, 28), 5


def make_data() -> TrainingData:
    draw = torch.Generator().manual_seed(0)
    return TrainingData(
        train_x=torch.randn(512, *SHAPE, generator=draw),
        train_y=torch.randint(0, 10, (512,), generator=draw),
        val_x=torch.randn(64, *SHAPE, generator=draw),
        val_y=torch.randint(0, 10, (64,), generator=draw),
        teacher_train=torch.randn(2, 512, 10, generator=draw),
        teacher_val=torch.randn(64, 10, generator=draw),
    )


def start(data: TrainingData) -> StudentRun:
    config = CnnModel(kind="cnn", width=16, depth=2)
    return StudentRun(
        build_model(config, input_shape=SHAPE, num_classes=10, seed=0),
        data,
        training=TrainingConfig(epochs=EPOCHS, batch_size=128),
        distillation=KdDistillation(temperature=2.0, alpha=0.5, ensemble_size=1),
        width=16,
        order_seed=1,
    )


def test_image_students_train_channels_last_as_in_the_plain_layout() -> None:
    """How much faster is for `benchmarks.throughput` to say."""
    data = make_data()
    fast, plain = start(data), start(data)
    plain.model.to(memory_format=torch.contiguous_format)  # pyrefly: ignore
    for run, is_last in ((fast, True), (plain, False)):
        filters = [p for p in run.model.parameters() if p.dim() == 4 and p.shape[1] > 1]
        assert filters
        assert all(p.is_contiguous(memory_format=torch.channels_last) is is_last for p in filters)
        list(run.epochs(until=1))
    first, other = fast.history[0], plain.history[0]
    assert first.train_loss == pytest.approx(other.train_loss, abs=1e-5)
