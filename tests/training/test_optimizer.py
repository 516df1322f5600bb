"""Learning rates over the epochs, and what the optimizers are set to."""

import math

import pytest
import torch

from kdsearch.training import build_optimizer, schedule_factor
from tests.training.problem import make_model, make_run, num_batches, training_config


@pytest.mark.parametrize(
    ("done", "factor"),
    [(0, 1.0), (2.5, (1 + math.cos(math.pi / 4)) / 2), (5, 0.5), (10, 0.0), (12, 0.0)],
)
def test_cosine(done: float, factor: float) -> None:
    config = training_config(epochs=10, schedule="cosine")
    assert schedule_factor(config, done) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(
    ("done", "factor"),
    [(0, 0.0), (1, 0.5), (1.5, 0.75), (2, 1.0), (6, 0.5), (10, 0.0)],
)
def test_cosine_after_warm_up(done: float, factor: float) -> None:
    config = training_config(epochs=10, schedule="cosine", warmup_epochs=2)
    assert schedule_factor(config, done) == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(("done", "factor"), [(0, 0.0), (2, 0.5), (4, 1.0), (9.9, 1.0)])
def test_constant_after_warm_up(done: float, factor: float) -> None:
    config = training_config(epochs=10, schedule="constant", warmup_epochs=4)
    assert schedule_factor(config, done) == factor


def test_constant_without_warm_up() -> None:
    config = training_config(epochs=10, schedule="constant")
    assert [schedule_factor(config, done / 2) for done in range(21)] == [1.0] * 21


def test_never_above_its_peak_nor_below_zero() -> None:
    for schedule in ("constant", "cosine"):
        for warmup in (0, 1, 9):
            config = training_config(epochs=10, schedule=schedule, warmup_epochs=warmup)
            factors = [schedule_factor(config, done / 7) for done in range(70)]
            assert min(factors) >= 0
            assert max(factors) <= 1
            assert factors[-1] < 1 or schedule == "constant"


def test_warm_up_as_long_as_the_run() -> None:
    run = make_run(epochs=2, warmup_epochs=2, learning_rate=1.0, schedule="constant")
    rates = [m.learning_rate for m in run.epochs(until=2)]
    steps = num_batches(32)
    assert rates == pytest.approx([(steps - 1) / steps / 2, 1 - 0.5 / steps])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_all_parameters_once_with_the_configured_decay(name: str) -> None:
    model = make_model()
    config = training_config(optimizer=name, weight_decay=0.125, lr_scaling="mup")
    optimizer = build_optimizer(model, config, width=8)
    found = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in found} == {id(p) for p in model.parameters()}
    assert len(found) == len(list(model.parameters()))
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.125}
    if name == "sgd":
        assert {group["momentum"] for group in optimizer.param_groups} == {0.9}
        assert {group["nesterov"] for group in optimizer.param_groups} == {True}


def test_frozen_parameters_stay() -> None:
    model = make_model()
    frozen = model.get_parameter("hidden.0.weight").requires_grad_(False)
    before = frozen.clone()
    run = make_run(model, weight_decay=0.1)
    list(run.epochs(until=1))
    assert torch.equal(frozen, before)
    assert all(frozen is not p for group in build_optimizer(
        model, training_config(), width=8).param_groups for p in group["params"])  # fmt: skip


def test_fused_only_where_it_is_right() -> None:
    dense = build_optimizer(make_model(), training_config(), width=8)
    assert dense.param_groups[0]["fused"] is True
    strided = torch.nn.Module()
    strided.register_parameter("w", torch.nn.Parameter(torch.zeros(4, 6)[:, ::2]))
    assert build_optimizer(strided, training_config(), width=8).param_groups[0]["fused"] is False
