"""What every architecture promises."""

import itertools
import random
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import ModelConfig
from kdsearch.distill import state_hash
from kdsearch.models import build_model, count_capacity, predict_logits

NUM_CLASSES = 10


class ModelCase(NamedTuple):
    """One architecture at one size, with the samples it reads."""

    config: ModelConfig
    """As `student:` gives it in a study file; a user's own is an `ImportModel`."""
    input_shape: tuple[int, ...]
    """Of one sample, without the batch dimension."""


class ModelContract:
    """Subclass it and give it a fixture `case`."""

    @pytest.fixture
    def case(self) -> ModelCase:
        """The architecture under test."""
        raise NotImplementedError

    def test_one_logit_for_each_class(self, case: ModelCase) -> None:
        """Float32, for a batch of any size."""
        model = build(case)
        assert model(samples(case, 7)).shape == (7, NUM_CLASSES)
        assert model(samples(case, 7)).dtype == torch.float32

    def test_comes_ready_to_be_trained(self, case: ModelCase) -> None:
        """In train mode, and every parameter gets a gradient."""
        model = build(case)
        assert all(module.training for module in model.modules())
        assert all(p.requires_grad for p in model.parameters())
        model(samples(case, 5)).square().sum().backward()
        for name, p in model.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name

    def test_a_sample_alone_is_classified_as_in_a_batch(self, case: ModelCase) -> None:
        """In eval mode no sample knows its neighbours."""
        model = build(case)
        model(samples(case, 9))  # moves running statistics away from their initial values
        model.eval()
        x = samples(case, 6)
        with torch.no_grad():
            together = model(x)
            for row in range(6):
                alone = model(x[row : row + 1])
                torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-5)

    def test_weights_follow_from_the_seed_alone(self, case: ModelCase) -> None:
        """Whatever was drawn before."""
        torch.manual_seed(11)
        first = build(case, seed=3)
        torch.manual_seed(99)
        torch.rand(7)
        assert state_hash(build(case, seed=3)) == state_hash(first)
        assert state_hash(build(case, seed=4)) != state_hash(first)
        assert state_hash(build(case, seed=2**63 - 1)) != state_hash(
            first
        )  # the largest we derive

    def test_global_random_state_is_left_alone(self, case: ModelCase) -> None:
        """Of torch, Python and NumPy."""
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)  # noqa: NPY002 - the state to protect is the legacy one
        before = random_states()
        build(case)
        after = random_states()
        assert torch.equal(before[0], after[0])
        assert before[1:] == after[1:]

    def test_width_is_a_size_knob(self, case: ModelCase) -> None:
        """More width is more of everything."""
        sizes = [count_capacity(build(case, width=w), case.input_shape) for w in (1, 2, 8, 9, 64)]
        for smaller, larger in itertools.pairwise(sizes):
            assert smaller.num_params < larger.num_params
            assert smaller.macs < larger.macs
            assert smaller.size_bytes < larger.size_bytes

    def test_counting_changes_nothing(self, case: ModelCase) -> None:
        """Neither weights nor mode."""
        model = build(case)
        model.eval()
        before = state_hash(model)
        first = count_capacity(model, case.input_shape)
        assert not model.training
        model.train()
        assert count_capacity(model, case.input_shape) == first
        assert model.training
        assert state_hash(model) == before

    def test_weights_go_to_another_instance(self, case: ModelCase) -> None:
        """Through its state dict, and give the same logits."""
        source, target = build(case, seed=1), build(case, seed=2)
        target.load_state_dict(source.state_dict())
        x = samples(case, 4)
        assert torch.equal(predict_logits(source, x), predict_logits(target, x))

    def test_learns(self, case: ModelCase) -> None:
        """Ten samples with random labels are memorised: gradients reach what matters."""
        model = build(case, width=16)
        x, y = samples(case, 10), torch.arange(10)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        torch.manual_seed(0)  # of dropout
        for _ in range(200):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert int((predict_logits(model, x).argmax(dim=1) == y).sum()) >= 9


def build(case: ModelCase, *, seed: int = 0, width: int | None = None) -> nn.Module:
    """A fresh model of the case, or of another width."""
    config = case.config if width is None else case.config.model_copy(update={"width": width})
    return build_model(config, input_shape=case.input_shape, num_classes=NUM_CLASSES, seed=seed)


def samples(case: ModelCase, count: int) -> Tensor:
    """Inputs [count, *input_shape]."""
    return torch.randn(count, *case.input_shape, generator=torch.Generator().manual_seed(1))


def random_states() -> tuple[Tensor, object, list[int]]:
    """Of torch, Python and NumPy."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002 - the state to protect
    return torch.get_rng_state(), random.getstate(), legacy["state"]["key"].tolist()
