"""The loss against plain Python arithmetic, closed forms and the defects of other codebases."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.distill import distillation_loss, soft_target_loss, soften

TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 20.0)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Student logits, teacher logits [6, 10] and labels [6], in double precision."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 6, 10, generator=generator, dtype=torch.float64)
    return student, 3 * teacher, torch.randint(0, 10, (6,), generator=generator)


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def by_hand(
    student: list[list[float]],
    teacher: list[list[float]],
    labels: list[int],
    temperature: float,
    alpha: float,
) -> float:
    """The formula of DESIGN section 2, one sample and one class at a time."""
    total = 0.0
    for z, t, label in zip(student, teacher, labels, strict=True):
        hard = -math.log(softmax(z, 1.0)[label])
        p, q = softmax(t, temperature), softmax(z, temperature)
        kl = sum(p_c * math.log(p_c / q_c) for p_c, q_c in zip(p, q, strict=True))
        total += alpha * hard + (1 - alpha) * temperature**2 * kl
    return total / len(labels)


def soft_gradient(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    z = student.clone().requires_grad_()
    labels = torch.zeros(len(z), dtype=torch.long)
    distillation_loss(z, teacher, labels, temperature, 0.0).backward()
    assert z.grad is not None
    return z.grad


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_matches_plain_arithmetic(
    batch: tuple[Tensor, Tensor, Tensor], temperature: float, alpha: float
) -> None:
    student, teacher, labels = batch
    loss = distillation_loss(student, teacher, labels, temperature, alpha)
    expected = by_hand(student.tolist(), teacher.tolist(), labels.tolist(), temperature, alpha)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_known_kl_in_nats() -> None:
    # KL((3/4, 1/4) || (1/2, 1/2)) = 3/4 ln 3/2 + 1/4 ln 1/2 = ln 2 - H(3/4) = 0.130812 nats
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    labels = torch.tensor([0])
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kl == pytest.approx(0.130812, abs=1e-6)
    assert float(distillation_loss(student, teacher, labels, 1.0, 0.0)) == pytest.approx(kl)
    mixed = distillation_loss(student, teacher, labels, 1.0, 0.25)
    assert float(mixed) == pytest.approx(0.25 * math.log(2) + 0.75 * kl)


def test_teacher_comes_first_in_the_kl() -> None:
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    labels = torch.tensor([0])
    forward = float(distillation_loss(student, teacher, labels, 1.0, 0.0))
    backward = float(distillation_loss(teacher, student, labels, 1.0, 0.0))
    # KL((1/2, 1/2) || (3/4, 1/4)) = 1/2 ln 2/3 + 1/2 ln 2 = 1/2 ln 4/3
    assert backward == pytest.approx(0.5 * math.log(4 / 3))
    assert forward == pytest.approx(0.130812, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_gradient_has_its_closed_form(
    batch: tuple[Tensor, Tensor, Tensor], temperature: float, alpha: float
) -> None:
    student, teacher, labels = batch
    z = student.clone().requires_grad_()
    distillation_loss(z, teacher, labels, temperature, alpha).backward()
    p = torch.softmax(teacher / temperature, dim=1)
    q = torch.softmax(student / temperature, dim=1)
    onehot = torch.eye(10, dtype=torch.float64)[labels]
    expected = (1 - alpha) * temperature * (q - p) / 6
    expected += alpha * (torch.softmax(student, dim=1) - onehot) / 6
    torch.testing.assert_close(z.grad, expected, rtol=1e-10, atol=1e-12)


def test_gradient_matches_finite_differences(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    z = student.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, teacher, labels, 4.0, 0.3), z)


def test_gradient_size_stays_when_the_temperature_changes(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    student, teacher, _ = batch
    norms = [float(soft_gradient(student, teacher, t).norm()) for t in TEMPERATURES]
    assert max(norms) / min(norms) < 2
    without = [norm / t**2 for norm, t in zip(norms, TEMPERATURES, strict=True)]
    assert without[0] / without[-1] > 200  # what leaving T^2 out would do: 280-fold here


def test_kl_is_summed_over_classes_not_averaged() -> None:
    # Two classes of probability 1/2 for teacher and (3/4, 1/4) for student; classes that both
    # find impossible add nothing, so the loss must not fall when there are more of them.
    few_student, few_teacher = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    never = torch.full((1, 98), -200.0)
    few = distillation_loss(few_student, few_teacher, torch.tensor([0]), 1.0, 0.0)
    many = distillation_loss(
        torch.cat([few_student, never], dim=1),
        torch.cat([few_teacher, never], dim=1),
        torch.tensor([0]),
        1.0,
        0.0,
    )
    assert float(few) == pytest.approx(0.5 * math.log(4 / 3), rel=1e-6)
    assert float(many) == pytest.approx(float(few), rel=1e-5)


def test_mean_over_the_batch(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    once = distillation_loss(student, teacher, labels, 4.0, 0.4)
    thrice = distillation_loss(
        student.repeat(3, 1), teacher.repeat(3, 1), labels.repeat(3), 4.0, 0.4
    )
    assert float(thrice) == pytest.approx(float(once), rel=1e-12)
    singles = [
        distillation_loss(student[i : i + 1], teacher[i : i + 1], labels[i : i + 1], 4.0, 0.4)
        for i in range(6)
    ]
    assert float(sum(singles)) / 6 == pytest.approx(float(once), rel=1e-12)


@pytest.mark.parametrize(("end", "near"), [(0.0, 1e-9), (1.0, 1 - 1e-9)])
def test_continuous_at_both_ends_of_alpha(
    batch: tuple[Tensor, Tensor, Tensor], end: float, near: float
) -> None:
    student, teacher, labels = batch
    z_end, z_near = student.clone().requires_grad_(), student.clone().requires_grad_()
    at_end = distillation_loss(z_end, teacher, labels, 4.0, end)
    nearby = distillation_loss(z_near, teacher, labels, 4.0, near)
    at_end.backward()
    nearby.backward()
    assert at_end.item() == pytest.approx(nearby.item(), rel=1e-7)
    torch.testing.assert_close(z_end.grad, z_near.grad, rtol=1e-6, atol=1e-9)


def test_alpha_one_is_cross_entropy_and_needs_no_teacher(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    student, teacher, labels = batch
    expected = F.cross_entropy(student, labels)
    assert torch.equal(distillation_loss(student, None, labels, 4.0, 1.0), expected)
    broken = torch.full_like(teacher, math.nan)
    assert torch.equal(distillation_loss(student, broken, labels, 4.0, 1.0), expected)


def test_alpha_weights_the_hard_loss(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    hard = float(distillation_loss(student, teacher, labels, 4.0, 1.0))
    soft = float(distillation_loss(student, teacher, labels, 4.0, 0.0))
    mixed = float(distillation_loss(student, teacher, labels, 4.0, 0.9))
    assert mixed == pytest.approx(0.9 * hard + 0.1 * soft, rel=1e-12)


def test_zero_where_student_and_teacher_agree(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, _, labels = batch
    shifted = student + 5.0  # a constant for all classes changes no probability
    for temperature in TEMPERATURES:
        loss = distillation_loss(student, shifted, labels, temperature, 0.0)
        assert float(loss) == pytest.approx(0.0, abs=1e-10)
        assert float(soft_gradient(student, shifted, temperature).abs().max()) < 1e-12


def test_teacher_gets_no_gradient(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    z, t = student.clone().requires_grad_(), teacher.clone().requires_grad_()
    distillation_loss(z, t, labels, 4.0, 0.5).backward()
    assert t.grad is None
    assert z.grad is not None
    assert not soften(t, 4.0).requires_grad


def test_extreme_logits_stay_finite() -> None:
    student = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = distillation_loss(student, torch.tensor([[-1e4, 1e4]]), torch.tensor([1]), 1.0, 0.5)
    loss.backward()
    # CE = 2e4; KL of a teacher that is certain = -log q = 2e4
    assert loss.item() == pytest.approx(2e4)
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_impossible_temperature(temperature: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        distillation_loss(
            torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2).long(), temperature, alpha
        )


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_impossible_alpha(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        distillation_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2).long(), 4.0, alpha)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.999])
def test_missing_teacher(alpha: float) -> None:
    with pytest.raises(ValueError, match="needs a teacher"):
        distillation_loss(torch.zeros(2, 3), None, torch.zeros(2).long(), 4.0, alpha)


@pytest.mark.parametrize(
    ("student", "teacher"),
    [((2, 3), (2, 4)), ((2, 3), (1, 3)), ((2, 3), (3,)), ((3,), (3,)), ((2, 3), (2, 3, 1))],
)
def test_shapes_that_would_broadcast(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    labels = torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match="shape"):
        distillation_loss(torch.zeros(student), torch.zeros(teacher), labels, 4.0, 0.5)
    with pytest.raises(ValueError, match="shape"):
        soft_target_loss(torch.zeros(student), torch.ones(teacher), labels, 4.0, 0.5)


def test_softened_targets_give_the_same_loss(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    student, teacher, labels = batch
    targets = soften(teacher, 4.0)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6, dtype=torch.float64))
    assert torch.equal(
        soft_target_loss(student, targets, labels, 4.0, 0.5),
        distillation_loss(student, teacher, labels, 4.0, 0.5),
    )
