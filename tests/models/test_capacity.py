"""Counts against formulas derived by hand, and against torch's own counters."""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdsearch.config import CnnModel, Conv1dModel, MlpModel, ModelConfig
from kdsearch.models import (
    Capacity,
    Classifier,
    Normalization,
    build_model,
    count_capacity,
    count_model,
)
from kdsearch.testing import ModelCase
from kdsearch.testing.model import NUM_CLASSES
from tests.models.architectures import CASES, imported, name_of

BATCH_COUNTER_BYTES = 8  # num_batches_tracked, an int64 in each batch norm


def mlp(d: int, w: int, depth: int, c: int) -> Capacity:
    """D*w + w, then (depth - 1) times w*w + w, then w*C + C; no bias multiplies."""
    params = d * w + w + (depth - 1) * (w * w + w) + w * c + c
    macs = d * w + (depth - 1) * w * w + w * c
    return Capacity(params, macs, 4 * params)


def conv1d(channels: int, length: int, w: int, depth: int, c: int) -> Capacity:
    """A kernel of 5 and then of 3, no bias; each convolution halves the length, rounding up."""
    params = macs = 0
    fan_in = 5 * channels
    for _ in range(depth):
        length = math.ceil(length / 2)
        params += fan_in * w + 2 * w  # kernel; scale and shift of the batch norm
        macs += length * fan_in * w
        fan_in = 3 * w
    params += w * length * c + c
    macs += w * length * c
    running = 4 * 2 * w * depth + BATCH_COUNTER_BYTES * depth
    return Capacity(params, macs, 4 * params + running)


def cnn(channels: int, height: int, breadth: int, w: int, depth: int, c: int) -> Capacity:
    """3x3 kernels without bias at full resolution, then pooling that rounds down."""
    params = macs = running = 0
    for stage in range(depth):
        out = w * 2**stage
        params += 9 * channels * out + 2 * out
        macs += height * breadth * 9 * channels * out
        running += 4 * 2 * out + BATCH_COUNTER_BYTES
        channels, height, breadth = out, height // 2, breadth // 2
    params += channels * height * breadth * c + c
    macs += channels * height * breadth * c
    return Capacity(params, macs, 4 * params + running)


def count(config: ModelConfig, input_shape: tuple[int, ...], num_classes: int) -> Capacity:
    model = build_model(config, input_shape=input_shape, num_classes=num_classes, seed=0)
    return count_capacity(model, input_shape)


@pytest.mark.parametrize(
    ("d", "w", "depth", "c"), [(64, 8, 1, 10), (784, 100, 2, 10), (3, 1, 5, 2)]
)
def test_mlp_by_formula(d: int, w: int, depth: int, c: int) -> None:
    assert count(MlpModel(kind="mlp", width=w, depth=depth), (d,), c) == mlp(d, w, depth, c)


def test_mlp_by_hand() -> None:
    # 784-1024-1024-10: 803,840 + 1,049,600 + 10,250 parameters
    found = count(MlpModel(kind="mlp", width=1024, depth=2), (1, 28, 28), 10)
    assert found.num_params == 803_840 + 1_049_600 + 10_250
    assert found.macs == 784 * 1024 + 1024 * 1024 + 10_240
    assert found.size_bytes == 4 * found.num_params


@pytest.mark.parametrize(
    ("channels", "length", "w", "depth", "c"),
    [(1, 40, 25, 3, 10), (1, 40, 1, 1, 10), (3, 17, 6, 4, 5), (2, 8, 3, 3, 2)],
)
def test_conv1d_by_formula(channels: int, length: int, w: int, depth: int, c: int) -> None:
    config = Conv1dModel(kind="conv1d", width=w, depth=depth)
    assert count(config, (channels, length), c) == conv1d(channels, length, w, depth, c)


@pytest.mark.parametrize(
    ("channels", "height", "breadth", "w", "depth", "c"),
    [(1, 28, 28, 8, 2, 10), (3, 32, 32, 4, 5, 10), (1, 8, 8, 16, 3, 10), (2, 9, 14, 3, 2, 4)],
)
def test_cnn_by_formula(
    channels: int, height: int, breadth: int, w: int, depth: int, c: int
) -> None:
    config = CnnModel(kind="cnn", width=w, depth=depth)
    expected = cnn(channels, height, breadth, w, depth, c)
    assert count(config, (channels, height, breadth), c) == expected


def test_a_channel_dimension_of_one_may_be_left_out() -> None:
    for config, shape in (
        (Conv1dModel(kind="conv1d", width=4, depth=2), (40,)),
        (CnnModel(kind="cnn", width=4, depth=2), (12, 12)),
    ):
        assert count(config, shape, 10) == count(config, (1, *shape), 10)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_as_torch_counts(case: ModelCase) -> None:
    model = build_model(case.config, input_shape=case.input_shape, num_classes=NUM_CLASSES, seed=0)
    found = count_capacity(model, case.input_shape)
    assert found.num_params == sum(p.numel() for p in model.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(6, *case.input_shape))
    assert 6 * 2 * found.macs == counter.get_total_flops()  # two operations, six samples
    stored = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    assert found.size_bytes == stored


def test_import_is_counted_like_any_other() -> None:
    # 40*16 + 16 and 16*10 + 10; dropout and tanh have neither weights nor products
    assert count(imported(width=16), (1, 40), 10) == Capacity(826, 800, 4 * 826)


def test_frozen_parameters_are_stored_but_not_trainable() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    assert count_capacity(model, (4,)) == Capacity(8, 18, 4 * (15 + 8))


def test_half_precision_takes_half_the_bytes() -> None:
    model = nn.Linear(4, 3).double()
    full = nn.Linear(4, 3)
    count_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    assert count_bytes == 2 * count_capacity(full, (4,)).size_bytes


def test_a_module_without_weights() -> None:
    class Rule(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :2]

    assert count_capacity(Rule(), (4,)) == Capacity(0, 0, 0)


def test_normalisation_is_not_a_parameter() -> None:
    body = build_model(
        MlpModel(kind="mlp", width=8, depth=1), input_shape=(64,), num_classes=10, seed=0
    )
    whole = Classifier(Normalization(torch.tensor(0.5), torch.tensor(2.0)), body)
    alone = count_capacity(body, (64,))
    assert count_capacity(whole, (64,))[:2] == alone[:2]


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (MlpModel(kind="mlp", width=7, depth=3), (12,)),
        (Conv1dModel(kind="conv1d", width=5, depth=2), (1, 40)),
        (CnnModel(kind="cnn", width=3, depth=2), (1, 8, 8)),
    ],
)
def test_a_section_counts_like_the_model_it_describes(
    config: ModelConfig, shape: tuple[int, ...]
) -> None:
    model = build_model(config, input_shape=shape, num_classes=4, seed=0)
    assert count_model(config, input_shape=shape, num_classes=4) == count_capacity(model, shape)


def test_a_section_is_counted_without_its_memory() -> None:
    largest = MlpModel(kind="mlp", width=65_536, depth=16)
    counted = count_model(largest, input_shape=(4,), num_classes=2)  # 258 GB, were it built
    assert counted.macs == 4 * 65_536 + 15 * 65_536**2 + 65_536 * 2
    assert counted.size_bytes == 4 * counted.num_params
