"""Images train channels-last on a CPU: at least 1.4 times the plain loop, at equal losses."""

import time

import pytest
import torch

from kdsearch.config import CnnModel, KdDistillation, TrainingConfig
from kdsearch.models import build_model
from kdsearch.training import StudentRun, TrainingData

pytestmark = pytest.mark.slow

SHAPE, EPOCHS, ATTEMPTS = (1, 28, 28), 5, 3
WANTED = 1.4


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
        distillation=KdDistillation(temperature=2.0, alpha=0.5),
        width=16,
        order_seed=1,
    )


def test_image_students_train_faster_than_in_the_plain_layout() -> None:
    data = make_data()
    ratios = []
    for _ in range(ATTEMPTS):
        fast, plain = start(data), start(data)
        plain.model.to(memory_format=torch.contiguous_format)  # pyrefly: ignore
        seconds: dict[StudentRun, list[float]] = {fast: [], plain: []}
        for epoch in range(1, EPOCHS + 1):  # in turns, so that both see the same noise
            for run, times in seconds.items():
                started = time.process_time()
                list(run.epochs(until=epoch))
                times.append(time.process_time() - started)
        first, other = fast.history[0], plain.history[0]
        assert first.train_loss == pytest.approx(other.train_loss, abs=1e-5)
        ratios.append(min(seconds[plain][1:]) / min(seconds[fast][1:]))
        if ratios[-1] >= WANTED:
            return
    pytest.fail(f"channels-last is only {ratios} times as fast as the plain loop")
