"""Rows are stepped as PyTorch's own optimizers would step each of them."""

import pytest
import torch

from kdsearch.training import build_optimizer, schedule_factor
from kdsearch.training.vmap.stack_optimizer import StackOptimizer
from tests.training.problem import training_config

ROWS, SIZE, STEPS = 3, 6, 5


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_rows_equal_the_optimizers_of_pytorch(optimizer: str) -> None:
    configs = [
        training_config(
            optimizer=optimizer,
            learning_rate=0.1 / (row + 1),
            weight_decay=0.3 * row,
            warmup_epochs=row,
        )
        for row in range(ROWS)
    ]
    draw = torch.Generator().manual_seed(0)
    weights = torch.randn(ROWS, SIZE, generator=draw, dtype=torch.float64)
    factors = torch.rand(ROWS, 1, generator=draw, dtype=torch.float64).expand(ROWS, SIZE)
    alone = []
    for row in range(ROWS):
        model = torch.nn.Linear(SIZE, 1, bias=False, dtype=torch.float64)
        with torch.no_grad():
            model.weight.copy_(weights[row])
        alone.append((model, build_optimizer(model, configs[row], width=1)))
    rows = StackOptimizer(configs, factors, weights)
    for epoch in range(3):
        plan = rows.plan([epoch] * ROWS, STEPS)
        assert plan.shape == (STEPS, 3, ROWS, 1)
        for index, numbers in enumerate(plan):
            grads = torch.randn(ROWS, SIZE, generator=draw, dtype=torch.float64)
            for row, (model, its) in enumerate(alone):
                factor = schedule_factor(configs[row], epoch + index / STEPS)
                rate = configs[row].learning_rate * factor * float(factors[row, 0])
                its.param_groups[0]["lr"] = rate
                model.weight.grad = grads[row : row + 1].clone()
                its.step()
            rows.step(weights, grads, numbers)
    assert rows.steps == [3 * STEPS] * ROWS
    for row, (model, _) in enumerate(alone):
        torch.testing.assert_close(weights[row], model.weight[0].detach(), rtol=1e-12, atol=1e-14)


def test_rows_in_different_epochs_have_the_rates_of_their_epochs() -> None:
    config = training_config(epochs=4, learning_rate=0.5)
    rows = StackOptimizer([config, config], None, torch.zeros(2, 3, dtype=torch.float64))
    rows.steps[1] = 10
    rates = rows.plan([0, 2], 2)[:, 0, :, 0]
    expected = [[schedule_factor(config, e + i / 2) / 2 for e in (0, 2)] for i in (0, 1)]
    torch.testing.assert_close(rates, torch.tensor(expected, dtype=torch.float64))
    assert rows.steps == [2, 12]
