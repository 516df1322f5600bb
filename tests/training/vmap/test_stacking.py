"""Which modules stack, and in what."""

import pytest
import torch
from torch import Tensor, nn

from kdsearch.models.conv1d import Conv1dNet
from kdsearch.training.vmap.conv1d_stack import Conv1dStack
from kdsearch.training.vmap.module_stack import ModuleStack
from kdsearch.training.vmap.stacking import build_stack, is_stackable

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))


def body(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 4), *layers, nn.Linear(4, 3))


class Looks(nn.Sequential):
    """Its forward depends on the numbers that it computes with."""

    def forward(self, input: Tensor) -> Tensor:
        y = super().forward(input)
        return y if y.sum() > 0 else -y


class Counts(nn.Sequential):
    """It remembers something that no state dict holds."""

    steps = 0

    def forward(self, input: Tensor) -> Tensor:
        self.steps += 1
        return super().forward(input)


class Replaces(nn.Sequential):
    """Its buffer is a new tensor after each step."""

    mean: Tensor

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * input.mean(dim=0)
        return super().forward(input - self.mean)


class Unused(nn.Sequential):
    """A weight without a gradient, which the optimizers of PyTorch leave alone."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.extra = nn.Parameter(torch.ones(2))

    def forward(self, input: Tensor) -> Tensor:
        return self[1](self[0](input))


class RandomScale(nn.Module):
    """Draws a number by itself, in training only."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand(1) if self.training else x


class Constrained(nn.Sequential):
    """It wants to be called after each step, which a stack does not."""

    def constrain(self) -> None:
        pass


class Fails(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("no such layer")


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    return model


@pytest.mark.parametrize(
    "model",
    [
        body(nn.ReLU()),
        body(nn.BatchNorm1d(4), nn.GELU()),
        body(nn.LayerNorm(4)),
        body(nn.Dropout(0.0)),
        body(nn.Linear(4, 4).requires_grad_(False)),
    ],
    ids=["relu", "batch norm", "layer norm", "no dropout", "frozen layer"],
)
def test_stackable(model: nn.Module) -> None:
    assert is_stackable(model, X)


@pytest.mark.parametrize(
    "model",
    [
        body(nn.Dropout(0.1)),
        body(RandomScale()),
        body(nn.BatchNorm1d(4, momentum=None)),
        body(Fails()),
        Looks(nn.Linear(6, 3)),
        Counts(nn.Linear(6, 3)),
        Replaces(nn.Linear(6, 3)),
        Unused(nn.Linear(6, 4), nn.Linear(4, 3)),
        Constrained(nn.Linear(6, 3)),
        tied(),
        nn.Linear(6, 3, dtype=torch.float64),
        body().requires_grad_(False),
    ],
    ids=[
        "dropout",
        "random",
        "cumulative batch norm",
        "fails",
        "control flow",
        "memory",
        "replaced buffer",
        "unused weight",
        "constrained",
        "tied weights",
        "double",
        "frozen",
    ],
)
def test_refused(model: nn.Module) -> None:
    assert not is_stackable(model, X.to(next(model.parameters()).dtype))


def test_trying_changes_neither_the_module_nor_the_random_state() -> None:
    model = body(nn.BatchNorm1d(4), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    is_stackable(model, X)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


class Shifted(Conv1dNet):
    """A user's, made of ours."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def signal_net() -> Conv1dNet:
    return Conv1dNet(input_shape=(6,), num_classes=3, width=4, depth=2)


def leaky_net() -> Conv1dNet:
    net = signal_net()
    net.features[2] = nn.LeakyReLU()
    return net


def test_our_networks_have_passes_of_their_own() -> None:
    assert type(build_stack([signal_net()])) is Conv1dStack
    shifted = Shifted(input_shape=(6,), num_classes=3, width=4, depth=2)
    half_frozen = signal_net()
    half_frozen.readout.requires_grad_(False)
    for other in (shifted, half_frozen, body(nn.ReLU())):
        assert type(build_stack([other])) is ModuleStack
        assert is_stackable(other, X)
    assert is_stackable(signal_net(), X)


def test_a_network_that_was_changed_is_found_out() -> None:
    assert not is_stackable(leaky_net(), X)
