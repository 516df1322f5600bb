"""Ensembles are averaged, never summed, and nested."""

import math

import pytest
import torch

from kdsearch.distill import EnsembleMode, distillation_loss, ensemble_logits, soften

MODES: tuple[EnsembleMode, ...] = ("logit_mean", "prob_mean")


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_logit_mean_by_hand(temperature: float) -> None:
    # logits (2, 0) and (0, 1) average to (1, 0.5) whatever the temperature
    members = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]], dtype=torch.float64)
    logits = ensemble_logits(members, size=2, mode="logit_mean", temperature=temperature)
    assert logits.tolist() == [[1.0, 0.5]]
    first = 1 / (1 + math.exp(-0.5 / temperature))
    assert float(soften(logits, temperature)[0, 0]) == pytest.approx(first)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_prob_mean_by_hand(temperature: float) -> None:
    # each member's share of the first class is a logistic function of its logit difference
    members = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]], dtype=torch.float64)
    logits = ensemble_logits(members, size=2, mode="prob_mean", temperature=temperature)
    shares = [1 / (1 + math.exp(-d / temperature)) for d in (2.0, -1.0)]
    assert float(soften(logits, temperature)[0, 0]) == pytest.approx(sum(shares) / 2)


def test_the_modes_differ_where_members_do() -> None:
    # two certain members that contradict each other: equal logits, or one half each
    members = torch.tensor([[[10.0, 0.0, 0.0]], [[0.0, 10.0, 9.0]]])
    by_logits = soften(ensemble_logits(members, size=2, mode="logit_mean"), 1.0)
    by_probs = soften(ensemble_logits(members, size=2, mode="prob_mean"), 1.0)
    assert float(by_probs[0, 0]) == pytest.approx(0.5, abs=1e-3)
    assert float(by_logits[0, 0]) == pytest.approx(1 / (2 + math.exp(-0.5)), abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_identical_members_teach_as_one(mode: EnsembleMode, temperature: float) -> None:
    generator = torch.Generator().manual_seed(3)
    one = torch.randn(5, 7, generator=generator)
    student = torch.randn(5, 7, generator=generator, requires_grad=True)
    labels = torch.arange(5)
    alone = soften(one, temperature)
    (expected,) = torch.autograd.grad(
        distillation_loss(student, one, labels, temperature, 0.0), student
    )
    for size in range(1, 9):
        members = one.expand(8, -1, -1)
        logits = ensemble_logits(members, size=size, mode=mode, temperature=temperature)
        torch.testing.assert_close(soften(logits, temperature), alone)
        (gradient,) = torch.autograd.grad(
            distillation_loss(student, logits, labels, temperature, 0.0), student
        )
        # a sum over members would make it `size` times as large
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_size_k_reads_members_1_to_k_only(mode: EnsembleMode) -> None:
    members = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    for size in range(1, 5):
        poisoned = members.clone()
        poisoned[size:] = math.nan
        expected = ensemble_logits(members[:size], size=size, mode=mode, temperature=2.0)
        found = ensemble_logits(poisoned, size=size, mode=mode, temperature=2.0)
        assert torch.equal(found, expected)
    one = ensemble_logits(members, size=1, mode=mode, temperature=2.0)
    torch.testing.assert_close(soften(one, 2.0), soften(members[0], 2.0))


def test_order_of_members_does_not_matter() -> None:
    members = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1))
    for mode in MODES:
        forward = ensemble_logits(members, size=4, mode=mode)
        torch.testing.assert_close(ensemble_logits(members.flip(0), size=4, mode=mode), forward)


def test_prob_mean_of_extreme_logits_stays_finite() -> None:
    members = torch.tensor([[[1e4, 0.0, -1e4]], [[-1e4, 0.0, 1e4]]])
    logits = ensemble_logits(members, size=2, mode="prob_mean")
    torch.testing.assert_close(soften(logits, 1.0), torch.tensor([[0.5, 0.0, 0.5]]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [-1, 0, 4])
def test_size_out_of_range(mode: EnsembleMode, size: int) -> None:
    with pytest.raises(ValueError, match=r"not in 1\.\.3"):
        ensemble_logits(torch.zeros(3, 2, 2), size=size, mode=mode)
