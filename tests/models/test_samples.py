"""Samples that an architecture cannot read, and callables that return nonsense."""

from pathlib import Path

import pytest
import torch

from kdsearch.config import CnnModel, Conv1dModel, MlpModel, ModelConfig
from kdsearch.errors import UserInputError
from kdsearch.models import build_model
from tests.models.architectures import imported


def conv1d(depth: int) -> Conv1dModel:
    return Conv1dModel(kind="conv1d", width=4, depth=depth)


def cnn(depth: int) -> CnnModel:
    return CnnModel(kind="cnn", width=4, depth=depth)


@pytest.mark.parametrize(
    ("config", "input_shape", "says"),
    [
        (conv1d(2), (1, 28, 28), r"conv1d .*\[1, 28, 28\].*use mlp or cnn"),
        (conv1d(2), (), r"conv1d .*\[\]"),
        (conv1d(6), (1, 40), r"conv1d of depth 6 .*length 40.*at least 64"),
        (cnn(2), (40,), r"cnn .*\[40\].*use mlp or conv1d"),
        (cnn(2), (1, 2, 8, 8), r"cnn .*\[1, 2, 8, 8\]"),
        (cnn(4), (1, 8, 8), r"cnn of depth 4 .*8 x 8.*at least 16"),
        (cnn(3), (1, 28, 7), r"cnn of depth 3 .*28 x 7.*at least 8"),
        (cnn(3), (1, 40), r"cnn of depth 3 .*1 x 40"),
    ],
)
def test_wrong_samples(config: ModelConfig, input_shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(UserInputError, match=says) as caught:
        build_model(config, input_shape=input_shape, num_classes=10, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "input_shape"),
    [(conv1d(5), (32,)), (cnn(3), (8, 8)), (MlpModel(kind="mlp", width=1, depth=16), (1,))],
)
def test_the_smallest_samples_allowed(config: ModelConfig, input_shape: tuple[int, ...]) -> None:
    model = build_model(config, input_shape=input_shape, num_classes=2, seed=0).eval()
    assert model(torch.ones(1, *input_shape)).shape == (1, 2)


NONSENSE = {
    "an integer": ("return 3", "returned int"),
    "nothing": ("pass", "returned NoneType"),
    "a function": ("return lambda x: x", "returned function"),
    "the class": ("return nn.Linear", "returned type"),
    "too many logits": (
        "return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes + 1))",
        r"to \[2, 11\]; allowed is a tensor of shape \[2, 10\]",
    ),
    "one logit": ("return nn.Sequential(nn.Flatten(0), nn.Linear(128, 1))", r"to \[1\]"),
    "feature maps": ("return nn.Conv2d(1, num_classes, 3)", r"to \[2, 10, 6, 6\]"),
    "a tuple": ("return Pair()", "to tuple; allowed is a tensor"),
    "no forward": ("return nn.Linear.__base__()", "no parameter|without a parameter"),
    "no weights": ("return nn.Flatten()", "without a parameter to train"),
    "all frozen": (
        "return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).requires_grad_(False)",
        "without a parameter to train",
    ),
    "other samples": (
        "return nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))",
        r"fails on a batch of shape \[2, 1, 8, 8\] with RuntimeError",
    ),
    "a crash in forward": ("return Crash()", r"fails on a batch .* with KeyError: 'scale'"),
    "an exit in forward": ("return Leave()", r"fails on a batch .* with SystemExit: 5"),
    "a crash in the callable": ("raise ZeroDivisionError('oops')", "ZeroDivisionError: oops"),
}

MODULE = """
from torch import nn

class Pair(nn.Linear):
    def __init__(self):
        super().__init__(8, 10)

    def forward(self, x):
        return x, x

class Crash(nn.Linear):
    def __init__(self):
        super().__init__(8, 10)

    def forward(self, x):
        return {{}}["scale"]

class Leave(Crash):
    def forward(self, x):
        raise SystemExit(5)

def make(input_shape, num_classes, width):
    {body}
"""


@pytest.mark.parametrize("name", NONSENSE)
def test_callable_returns_nonsense(name: str, users_folder: Path) -> None:
    body, says = NONSENSE[name]
    module = f"nonsense_{list(NONSENSE).index(name)}"
    (users_folder / f"{module}.py").write_text(MODULE.format(body=body))
    with pytest.raises(UserInputError, match=says) as caught:
        build_model(imported(f"{module}:make"), input_shape=(1, 8, 8), num_classes=10, seed=0)
    assert f"{module}:make" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module:Net", "no module 'no_such_module'"),
        ("contract_net:Nett", "has no 'Nett'"),
        ("contract_net:math", "of type module"),
    ],
)
def test_no_such_callable(target: str, says: str) -> None:
    with pytest.raises(UserInputError, match=says):
        build_model(imported(target), input_shape=(40,), num_classes=10, seed=0)


def test_unknown_option_is_named() -> None:
    with pytest.raises(UserInputError, match="droput"):
        build_model(imported(options={"droput": 0.5}), input_shape=(40,), num_classes=10, seed=0)


def test_options_arrive() -> None:
    config = imported(options={"dropout": 0.25}, width=3)
    model = build_model(config, input_shape=(40,), num_classes=10, seed=0)
    assert model.get_submodule("drop").p == 0.25
    assert model.get_parameter("readout.weight").shape == (10, 3)
