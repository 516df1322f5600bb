"""Accuracy, fidelity and calibration, worked out by hand."""

import math

import pytest
import torch

from kdsearch.training import evaluate_logits, expected_calibration_error, share_of


def logits_of(probs: list[list[float]]) -> torch.Tensor:
    return torch.tensor(probs).log()


PROBS = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.6, 0.15]]
TEACHER = [[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1]]
LABELS = [0, 1, 2, 0]


def test_by_hand() -> None:
    found = evaluate_logits(logits_of(PROBS), torch.tensor(LABELS), logits_of(TEACHER))
    assert found.num_samples == 4
    assert found.accuracy == 2 / 4  # samples 1 and 3
    assert found.agreement == 3 / 4  # all but sample 2
    nll = -(math.log(0.7) + math.log(0.3) + math.log(0.8) + math.log(0.25)) / 4
    assert found.loss == pytest.approx(nll, rel=1e-6)
    squares = [
        0.3**2 + 0.2**2 + 0.1**2,
        0.5**2 + 0.7**2 + 0.2**2,
        0.1**2 + 0.1**2 + 0.2**2,
        0.75**2 + 0.6**2 + 0.15**2,
    ]
    assert found.brier == pytest.approx(sum(squares) / 4, rel=1e-6)
    kl = sum(
        p * math.log(p / q)
        for teacher, student in zip(TEACHER, PROBS, strict=True)
        for p, q in zip(teacher, student, strict=True)
    )
    assert found.teacher_kl == pytest.approx(kl / 4, rel=1e-5)
    # confidences 0.7, 0.5, 0.8, 0.6 fall into four bins of 1/15; hits 1, 0, 1, 0
    assert found.ece == pytest.approx((0.3 + 0.5 + 0.2 + 0.6) / 4, rel=1e-6)


def test_a_model_is_its_own_teacher() -> None:
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(0))
    found = evaluate_logits(logits, logits.argmax(dim=1), logits)
    assert found.accuracy == found.agreement == 1.0
    assert found.teacher_kl == pytest.approx(0.0, abs=1e-6)


def test_kl_starts_from_the_teacher() -> None:
    student, teacher = logits_of([[0.5, 0.5]]), logits_of([[0.75, 0.25]])
    found = evaluate_logits(student, torch.tensor([0]), teacher)
    assert found.teacher_kl == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-5)


def test_uniform_predictions_of_ten_classes() -> None:
    labels = torch.arange(10)
    found = evaluate_logits(torch.zeros(10, 10), labels, torch.zeros(10, 10))
    assert found.loss == pytest.approx(math.log(10), rel=1e-6)
    assert found.brier == pytest.approx(0.9**2 + 9 * 0.1**2, rel=1e-6)
    assert found.accuracy == 0.1
    assert found.ece == pytest.approx(0.0, abs=1e-7)  # 10 % sure and right in 10 %


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    found = evaluate_logits(logits, torch.tensor([0, 0]), logits.flip(0))
    assert found.loss == pytest.approx(1e4)
    assert found.teacher_kl == pytest.approx(2e4)
    assert found.brier == pytest.approx(1.0)
    assert found.ece == pytest.approx(0.5)


def test_calibration_averages_inside_a_bin() -> None:
    # 0.61 and 0.65 share the bin (9/15, 10/15]; one hit: |0.5 - 0.63|; 0.95 is alone and right
    probs = torch.tensor([[0.61, 0.39], [0.65, 0.35], [0.05, 0.95]])
    labels = torch.tensor([0, 1, 1])
    expected = 2 / 3 * abs(0.5 - 0.63) + 1 / 3 * 0.05
    assert expected_calibration_error(probs, labels) == pytest.approx(expected, rel=1e-5)


def test_calibration_at_the_edges() -> None:
    certain = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert expected_calibration_error(certain, torch.tensor([0, 0])) == 0.0
    assert expected_calibration_error(certain, torch.tensor([1, 1])) == 1.0
    assert expected_calibration_error(certain, torch.tensor([0, 1])) == 0.5


def test_calibration_against_a_loop_over_bins() -> None:
    generator = torch.Generator().manual_seed(1)
    probs = torch.softmax(2 * torch.randn(500, 7, generator=generator), dim=1)
    labels = torch.randint(0, 7, (500,), generator=generator)
    confidence, predicted = probs.max(dim=1)
    expected = 0.0
    for lower in range(15):
        inside = [
            (float(c), int(p) == int(y))
            for c, p, y in zip(confidence, predicted, labels, strict=True)
            if lower / 15 < float(c) <= (lower + 1) / 15
        ]
        if inside:
            gap = sum(hit for _, hit in inside) - sum(c for c, _ in inside)
            expected += abs(gap) / 500
    assert expected_calibration_error(probs, labels) == pytest.approx(expected, rel=1e-6)


def test_share_of_flags_is_exact() -> None:
    flags = torch.tensor([True, False, False])
    assert share_of(flags) == 1 / 3
