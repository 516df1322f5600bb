"""Losses and slopes of rows against autograd on the loss of one student."""

import pytest
import torch

from kdsearch.config import KdDistillation
from kdsearch.distill import build_loss, prepared_rows, soft_target_loss
from kdsearch.training import TrainingData
from kdsearch.training.vmap.closed_loss import ClosedLoss

NUM, CLASSES = 40, 5
TEACH = [
    KdDistillation(alpha=alpha, temperature=heat, ensemble_size=size)
    for alpha, heat, size in ((0.0, 1.0, 1), (0.3, 20.0, 2), (1.0, 4.0, 1), (0.9, 0.5, 2))
]


@pytest.fixture
def data() -> TrainingData:
    draw = torch.Generator().manual_seed(0)
    x = torch.zeros(NUM, 2, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (NUM,), generator=draw)
    logits = torch.randn(2, NUM, CLASSES, generator=draw, dtype=torch.float64)
    return TrainingData(x, y, x, y, 3 * logits, None)


@pytest.mark.parametrize("shared", [True, False])
def test_rows_have_the_loss_and_slope_of_a_student_alone(data: TrainingData, shared: bool) -> None:
    loss = ClosedLoss(TEACH, data.train_x)
    loss.show([data] * 4, [None] * 4)
    draw = torch.Generator().manual_seed(1)
    logits = 5 * torch.randn(4, 7, CLASSES, generator=draw, dtype=torch.float64)
    batch = torch.randint(0, NUM, (1 if shared else 4, 7), generator=draw)
    labels, targets = torch.empty(4, 7, dtype=torch.int64), loss.room(7)
    loss.look_up(batch, labels, targets)
    slope = loss.slope(logits.mT.contiguous(), labels, targets).mT
    for row, teach in enumerate(TEACH):
        mine = logits[row].clone().requires_grad_()
        at = batch[0 if shared else row]
        probs = prepared_rows(build_loss(teach), teach, data.teacher_train)
        taught = None if probs is None else probs[at]
        one = soft_target_loss(mine, taught, data.train_y[at], teach.temperature, teach.alpha)
        one.backward()
        assert float(loss.total[row]) == pytest.approx(7 * float(one.detach()), abs=1e-12)
        torch.testing.assert_close(slope[row], mine.grad)


def test_without_a_teacher_there_is_no_room_for_targets(data: TrainingData) -> None:
    alone = data._replace(teacher_train=None)
    loss = ClosedLoss([KdDistillation(alpha=1.0)], data.train_x)
    loss.show([alone], [None])
    assert loss.room(7).numel() == 0
    with pytest.raises(ValueError, match="needs teacher logits"):
        ClosedLoss(TEACH[:1], data.train_x).show([alone], [None])


def test_targets_are_made_once_for_a_view(data: TrainingData) -> None:
    loss = ClosedLoss(TEACH, data.train_x)
    first = loss.show([data] * 4, [None] * 4)
    again = loss.show([data] * 4, [None] * 4)
    assert all(a is b for a, b in zip(first, again, strict=True))
    other = data._replace(teacher_train=torch.zeros(2, NUM, CLASSES, dtype=torch.float64))
    mixed = loss.show([data, other, data, data], first)
    assert mixed[1] is not None
    assert mixed[1].rows is not None
    torch.testing.assert_close(mixed[1].rows, torch.full_like(mixed[1].rows, 1 / CLASSES))
    assert first[0] is not None
    assert mixed[0] is not None
    assert torch.equal(mixed[0].rows, first[0].rows)  # type: ignore[arg-type]
