import numpy as np
import pytest
import torch

from kdsearch.data.normalization import measure_normalization


def test_flat_samples_have_one_mean_and_population_deviation() -> None:
    mean, std = measure_normalization(np.array([[1, 3], [5, 7]], dtype=np.float32))
    assert mean.shape == std.shape == ()
    assert mean.item() == 4.0
    assert std.item() == pytest.approx(5**0.5, rel=1e-7)  # ((3² + 1² + 1² + 3²) / 4)^0.5


@pytest.mark.parametrize("shape", [(40,), (1, 40), (1, 8, 8)])
def test_one_channel_has_scalars(shape: tuple[int, ...]) -> None:
    mean, std = measure_normalization(np.ones((5, *shape), dtype=np.float32))
    assert mean.shape == std.shape == ()


@pytest.mark.parametrize("rest", [(6,), (2, 3)])
def test_channels_are_measured_one_by_one(rest: tuple[int, ...]) -> None:
    x = np.zeros((4, 2, *rest), dtype=np.float32)
    x[:2, 0] = 2.0  # half 2, half 0: mean 1, deviation 1
    x[:, 1] = 9.0  # constant
    mean, std = measure_normalization(x)
    assert mean.shape == std.shape == (2, *(1 for _ in rest))
    assert mean.flatten().tolist() == [1.0, 9.0]
    assert std.flatten().tolist() == [1.0, 1.0]
    assert bool(torch.isfinite((torch.from_numpy(x) - mean) / std).all())


def test_rounding_noise_of_a_constant_is_no_spread() -> None:
    _, std = measure_normalization(np.full((3000, 7), 0.1, dtype=np.float32))
    assert std.item() == 1.0


def test_many_blocks_agree_with_one_float64_pass() -> None:
    x = np.random.default_rng(0).normal(1000.0, 0.5, size=(2500, 3, 4)).astype(np.float32)
    mean, std = measure_normalization(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean.flatten(), exact.mean(axis=(0, 2)), rtol=1e-7)
    np.testing.assert_allclose(std.flatten(), exact.std(axis=(0, 2)), rtol=1e-6)
