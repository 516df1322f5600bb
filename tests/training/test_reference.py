"""The loop against a plain one that shares nothing with it but the order of the batches."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import CnnModel
from kdsearch.models import build_model
from kdsearch.training import TrainingData, epoch_order
from tests.training.problem import NUM_CLASSES, finish, make_data, make_model, make_run, teach

TEMPERATURE, ALPHA, EPOCHS, BATCH, RATE = 4.0, 0.3, 4, 32, 1e-2


def plain_optimizer(model: nn.Module, name: str, decay: float) -> torch.optim.Optimizer:
    match name:
        case "adam":
            return torch.optim.Adam(
                model.parameters(), lr=RATE, weight_decay=decay, fused=False, foreach=False
            )
        case "adamw":
            return torch.optim.AdamW(
                model.parameters(), lr=RATE, weight_decay=decay, fused=False, foreach=False
            )
        case _:
            return torch.optim.SGD(
                model.parameters(), lr=RATE, weight_decay=decay, momentum=0.9, nesterov=True
            )


def plain_loop(model: nn.Module, data: TrainingData, name: str, decay: float) -> list[float]:
    """Two teachers averaged, temperature 4, alpha 0.3, cosine schedule; losses by epoch."""
    assert data.teacher_train is not None
    teacher = (data.teacher_train[0] + data.teacher_train[1]) / 2
    optimizer = plain_optimizer(model, name, decay)
    losses, step, steps = [], 0, EPOCHS * math.ceil(len(data.train_y) / BATCH)
    for epoch in range(1, EPOCHS + 1):
        total = 0.0
        order = epoch_order(0, epoch, len(data.train_y))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            for group in optimizer.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            model.train()
            optimizer.zero_grad()
            z = model(data.train_x[rows])
            hard = -torch.log_softmax(z, 1)[range(len(rows)), data.train_y[rows]].mean()
            p = torch.softmax(teacher[rows] / TEMPERATURE, 1)
            kl = (p * (p.log() - torch.log_softmax(z / TEMPERATURE, 1))).sum(1).mean()
            loss = ALPHA * hard + (1 - ALPHA) * TEMPERATURE**2 * kl
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
            step += 1
        losses.append(total / len(order))
    return losses


def check(
    model: nn.Module, twin: nn.Module, data: TrainingData, name: str, decay: float, tol: float
) -> None:
    """Train `model` with the loop and `twin` plainly, and compare losses and weights."""
    run = finish(
        make_run(
            model,
            data,
            distillation=teach(temperature=TEMPERATURE, alpha=ALPHA),
            epochs=EPOCHS,
            batch_size=BATCH,
            learning_rate=RATE,
            optimizer=name,
            weight_decay=decay,
        )
    )
    before: dict[str, Tensor] = copy.deepcopy(twin.state_dict())
    losses = plain_loop(twin, data, name, decay)
    assert [m.train_loss for m in run.history] == pytest.approx(losses, rel=tol, abs=tol)
    moved = 0.0
    for key, expected in twin.state_dict().items():
        found = model.state_dict()[key]
        torch.testing.assert_close(found, expected, rtol=tol, atol=tol)
        moved = max(moved, float((expected.double() - before[key].double()).abs().max()))
    assert moved > 0.01  # there was something to compare


optimizers = pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
decays = pytest.mark.parametrize("decay", [0.0, 0.1])


@optimizers
@decays
def test_mlp(name: str, decay: float) -> None:
    check(
        make_model().double(), make_model().double(), make_data(dtype=torch.float64),
        name, decay, 1e-9,
    )  # fmt: skip


def cnn() -> nn.Module:
    config = CnnModel(kind="cnn", width=4, depth=2)
    return build_model(config, input_shape=(2, 8, 8), num_classes=NUM_CLASSES, seed=0).double()


@optimizers
@decays
def test_convolutions_in_channels_last(name: str, decay: float) -> None:
    """Fused Adam reads gradients in memory order: strides that differ would scramble them."""
    data = make_data(dtype=torch.float64, image=True)
    last = data._replace(train_x=data.train_x.to(memory_format=torch.channels_last))
    model = cnn().to(memory_format=torch.channels_last)
    assert not model.get_parameter("features.4.weight").is_contiguous()
    check(model, cnn(), last, name, decay, 1e-9)


class Strided(nn.Module):
    """Parameters that are every other column of, or the transpose of, something larger."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        wide = torch.randn(12, 16, generator=generator, dtype=torch.float64) / 3
        self.first = nn.Parameter(wide[:, ::2])
        self.readout = nn.Parameter(wide[:NUM_CLASSES, :8].clone().t())

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.first).relu() @ self.readout


@optimizers
def test_parameters_that_are_not_dense(name: str) -> None:
    twin = Strided()
    for parameter in twin.parameters():
        parameter.data = parameter.data.contiguous()
    assert not Strided().first.is_contiguous()
    check(Strided(), twin, make_data(dtype=torch.float64), name, 0.0, 1e-9)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_single_precision(name: str) -> None:
    check(make_model(), make_model(), make_data(), name, 0.0, 1e-5)


@pytest.mark.parametrize("settings", [{"temperature": 1.0}, {"alpha": 1.0}, {"alpha": 0.0}])
def test_the_plain_loop_can_tell(settings: dict[str, Any]) -> None:
    """Other settings do not pass for the same."""
    run = finish(make_run(distillation=teach(**{"temperature": 4.0, "alpha": 0.3} | settings)))
    losses = plain_loop(make_model(), make_data(), "adam", 0.0)
    assert run.history[-1].train_loss != pytest.approx(losses[-1], rel=1e-2)
