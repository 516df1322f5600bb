"""The muP rule: its table, and what it is for."""

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import CnnModel, Conv1dModel, MlpModel, ModelConfig, TrainingConfig
from kdsearch.models import build_model, mup_rate_factors, parameter_roles, scale_readout
from kdsearch.training import build_optimizer

WIDTHS = (32, 64, 128, 256, 512)
BASE = 32


def build(config: ModelConfig, shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    return build_model(config, input_shape=shape, num_classes=10, seed=seed)


def test_roles_of_an_mlp() -> None:
    model = build(MlpModel(kind="mlp", width=8, depth=3), (40,))
    assert parameter_roles(model) == {
        "hidden.0.weight": "input",
        "hidden.0.bias": "vector",
        "hidden.1.weight": "hidden",
        "hidden.1.bias": "vector",
        "hidden.2.weight": "hidden",
        "hidden.2.bias": "vector",
        "readout.weight": "readout",
        "readout.bias": "readout_bias",
    }


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (Conv1dModel(kind="conv1d", width=8, depth=3), (1, 40)),
        (CnnModel(kind="cnn", width=4, depth=3), (1, 8, 8)),
    ],
)
def test_roles_of_convolutions(config: ModelConfig, shape: tuple[int, ...]) -> None:
    roles = parameter_roles(build(config, shape))
    assert roles["features.0.weight"] == "input"
    assert roles["features.1.weight"] == "vector"  # batch norm
    matrices = [role for role in roles.values() if role not in ("vector", "readout_bias")]
    assert matrices == ["input", "hidden", "hidden", "readout"]
    assert roles["readout.weight"] == "readout"


# Tensor Programs V, table 8 (in the form of table 3) with m = 128 / 32 = 4
ADAM = {"input": 1.0, "hidden": 0.25, "readout": 0.25, "readout_bias": 1.0, "vector": 1.0}
SGD = {"input": 4.0, "hidden": 1.0, "readout": 0.25, "readout_bias": 1.0, "vector": 4.0}


@pytest.mark.parametrize(("optimizer", "factors"), [("adam", ADAM), ("adamw", ADAM), ("sgd", SGD)])
def test_factors_at_four_times_the_base_width(optimizer: str, factors: dict[str, float]) -> None:
    model = build(MlpModel(kind="mlp", width=128, depth=2), (40,))
    found = mup_rate_factors(model, optimizer=optimizer, width=128, base_width=32)
    roles = parameter_roles(model)
    assert found == {name: factors[role] for name, role in roles.items()}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_nothing_changes_at_the_base_width(optimizer: str) -> None:
    model = build(MlpModel(kind="mlp", width=64, depth=2), (40,))
    factors = mup_rate_factors(model, optimizer=optimizer, width=64, base_width=64)
    assert set(factors.values()) == {1.0}
    before = {name: p.clone() for name, p in model.named_parameters()}
    scale_readout(model, width=64, base_width=64)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


@pytest.mark.parametrize(("width", "factor"), [(128, 0.5), (512, 0.25), (8, 2.0)])
def test_readout_starts_smaller_by_the_root(width: int, factor: float) -> None:
    model = build(MlpModel(kind="mlp", width=width, depth=2), (40,))
    before = {name: p.clone() for name, p in model.named_parameters()}
    scale_readout(model, width=width, base_width=32)
    for name, p in model.named_parameters():
        expected = before[name] * (factor if name == "readout.weight" else 1.0)
        torch.testing.assert_close(p, expected, rtol=0, atol=0)
        assert p.requires_grad


def test_optimizer_groups_carry_the_factors() -> None:
    model = build(MlpModel(kind="mlp", width=128, depth=2), (40,))
    config = TrainingConfig(lr_scaling="mup", mup_base_width=32, device="cpu")
    optimizer = build_optimizer(model, config, width=128)
    roles = {id(p): parameter_roles(model)[name] for name, p in model.named_parameters()}
    seen = {
        roles[id(p)]: group["rate_factor"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert seen == ADAM
    plain = build_optimizer(model, TrainingConfig(device="cpu"), width=128)
    assert [group["rate_factor"] for group in plain.param_groups] == [1.0]


def logit_change(width: int, optimizer: str, scaling: str, seed: int) -> float:
    """Mean |change| of the logits after three steps on a fixed batch."""
    model = build(MlpModel(kind="mlp", width=width, depth=2), (20,), seed)
    rate = 1e-2 if optimizer == "adam" else 5e-2
    config = TrainingConfig.model_validate(
        {
            "learning_rate": rate,
            "optimizer": optimizer,
            "lr_scaling": scaling,
            "mup_base_width": BASE,
        }
    )
    if scaling == "mup":
        scale_readout(model, width=width, base_width=BASE)
    steps = build_optimizer(model, config, width=width)
    for group in steps.param_groups:
        group["lr"] = rate * group["rate_factor"]
    generator = torch.Generator().manual_seed(seed)
    x: Tensor = torch.randn(64, 20, generator=generator)
    y = torch.randint(0, 10, (64,), generator=generator)
    with torch.no_grad():
        before = model(x)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(x), y)
        steps.zero_grad()
        loss.backward()
        steps.step()
    with torch.no_grad():
        return float((model(x) - before).abs().mean())


def changes(optimizer: str, scaling: str) -> list[float]:
    return [
        sum(logit_change(width, optimizer, scaling, seed) for seed in range(3)) / 3
        for width in WIDTHS
    ]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_coordinate_check(optimizer: str) -> None:
    """Yang et al. 2022, appendix D.1: with muP updates keep their size, without it they grow."""
    with_mup, without = changes(optimizer, "mup"), changes(optimizer, "none")
    assert max(with_mup) / min(with_mup) < 1.5  # measured: 1.25 for adam, 1.2 for sgd
    assert without[-1] / without[0] > 4  # measured: 8 for both
    assert without == sorted(without)
