"""Dropout and the largest norm: what they do in training, and that nothing stays of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import MlpModel
from kdsearch.models import build_model, count_capacity, count_model, describe_model
from kdsearch.models.mlp import Mlp, RegularizedMlp

SHAPE: dict[str, Any] = {"input_shape": (1, 4, 5), "num_classes": 3}
REGULARIZED = {"dropout": 0.5, "input_dropout": 0.2, "max_norm": 0.7}


def build(seed: int = 0, **settings: Any) -> nn.Module:
    config = MlpModel.model_validate({"kind": "mlp", "width": 64, "depth": 2} | settings)
    return build_model(config, **SHAPE, seed=seed)


def regularized(**settings: Any) -> RegularizedMlp:
    model = build(**settings)
    assert isinstance(model, RegularizedMlp)
    return model


def samples(count: int) -> Tensor:
    return torch.randn(count, 1, 4, 5, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("settings", "is_regularized"),
    [
        *(({name: value}, True) for name, value in REGULARIZED.items()),
        ({}, False),
        ({"dropout": 0.0, "input_dropout": 0.0, "max_norm": None}, False),
    ],
    ids=str,
)
def test_any_of_the_settings_and_only_they_make_it_regularized(
    settings: dict[str, Any], is_regularized: bool
) -> None:
    assert isinstance(build(**settings), RegularizedMlp if is_regularized else Mlp)
    assert not issubclass(RegularizedMlp, Mlp), "a population takes every Mlp"


def test_it_begins_with_the_weights_of_a_plain_mlp_and_is_one_in_eval_mode() -> None:
    plain, model = build(seed=3), regularized(seed=3, **REGULARIZED)
    assert list(model.state_dict()) == list(plain.state_dict())
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    x = samples(9)
    assert not torch.equal(model(x), plain(x))
    plain.eval()
    model.eval()
    assert torch.equal(model(x), plain(x))
    back = build(seed=4).eval()
    back.load_state_dict(model.state_dict())
    assert torch.equal(back(x), plain(x))


def test_it_is_as_big_as_a_plain_mlp() -> None:
    capacity = count_capacity(build(), SHAPE["input_shape"])
    assert count_capacity(build(**REGULARIZED), SHAPE["input_shape"]) == capacity
    config = MlpModel(kind="mlp", width=64, depth=2, dropout=0.5, max_norm=1.0)
    assert count_model(config, **SHAPE) == capacity


def seen_by(layer: nn.Module, model: nn.Module, x: Tensor) -> Tensor:
    """What a layer is given in a forward pass of the model."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    model(x)
    handle.remove()
    (one,) = seen
    return one


@pytest.mark.parametrize("layer", ["hidden.0", "hidden.1", "readout"])
def test_the_expected_share_is_dropped_and_the_rest_is_scaled_up(layer: str) -> None:
    """Each value of the input by its rate, each unit of each hidden layer by its own."""
    torch.manual_seed(0)
    rate = 0.2 if layer == "hidden.0" else 0.5
    model = regularized(dropout=0.5, input_dropout=0.2)
    with torch.no_grad():  # one positive unit each, whatever is dropped below
        for name, value in model.named_parameters():
            value.fill_(1.0 if name.endswith("bias") else 0.0)
    x = torch.ones(2000, 1, 4, 5)
    seen = seen_by(model.get_submodule(layer), model, x)
    assert seen.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    dropped = (seen == 0).double().mean()
    # Five standard deviations of a mean of independent draws.
    assert abs(float(dropped) - rate) < 5 * (rate * (1 - rate) / seen.numel()) ** 0.5
    by_unit = (seen == 0).double().mean(dim=0)
    assert 0 < float(by_unit.min()) <= float(by_unit.max()) < 1, "every unit, and none always"


def test_the_readout_has_no_dropout_and_rates_are_not_mixed_up() -> None:
    x = samples(6)
    inputs_only = regularized(input_dropout=0.9)
    first = seen_by(inputs_only.get_submodule("readout"), inputs_only, x)
    hidden_only = regularized(dropout=0.9)
    assert torch.equal(
        seen_by(hidden_only.get_submodule("hidden.0"), hidden_only, x), x.flatten(1)
    )
    assert (first == 0).double().mean() < 0.8, "ReLU's zeros only"
    one = regularized(max_norm=5.0)
    assert torch.equal(one(x), one(x)), "a largest norm alone draws nothing"


def test_constrain_scales_rows_that_are_too_long_and_nothing_else() -> None:
    model = regularized(max_norm=0.7)
    long = torch.tensor([True, False] * 32)
    with torch.no_grad():
        for layer in model.hidden:
            assert isinstance(layer, nn.Linear)
            layer.weight.mul_(torch.where(long, 5.0, 0.1).unsqueeze(1))
            layer.weight[1] = 0.0  # a dead unit
            layer.bias.fill_(100.0)
        model.readout.weight.fill_(100.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.constrain()
    after = model.state_dict()
    for name in ("hidden.0.weight", "hidden.1.weight"):
        norms = after[name].norm(dim=1)
        torch.testing.assert_close(norms[long], torch.full((32,), 0.7))
        torch.testing.assert_close(  # shorter, and in the old direction
            nn.functional.normalize(after[name]), nn.functional.normalize(before[name])
        )
        assert torch.equal(after[name][~long], before[name][~long])
    for name in ("hidden.0.bias", "hidden.1.bias", "readout.weight", "readout.bias"):
        assert torch.equal(after[name], before[name]), name
    model.constrain()
    torch.testing.assert_close(model.state_dict()["hidden.0.weight"], after["hidden.0.weight"])


def test_without_a_largest_norm_constrain_does_nothing() -> None:
    model = regularized(dropout=0.5)
    with torch.no_grad():
        model.readout.weight.fill_(100.0)
        model.get_parameter("hidden.0.weight").fill_(100.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.constrain()
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "mlp width 64 depth 2"),
        ({"dropout": 0.5}, "mlp width 64 depth 2 dropout 0.5"),
        ({"input_dropout": 0.25}, "mlp width 64 depth 2 input dropout 0.25"),
        ({"max_norm": 15.0}, "mlp width 64 depth 2 max norm 15"),
        (REGULARIZED, "mlp width 64 depth 2 dropout 0.5 input dropout 0.2 max norm 0.7"),
    ],
)
def test_words(settings: dict[str, Any], words: str) -> None:
    config = MlpModel.model_validate({"kind": "mlp", "width": 64, "depth": 2} | settings)
    assert describe_model(config) == words
