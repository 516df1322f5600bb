"""What every distillation loss must be: a mean over samples that depends on nothing else."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from kdsearch.config import DistillationConfig
from kdsearch.distill import TransferLoss, build_loss, prepared_rows

MEMBERS, SAMPLES, CLASSES = 3, 6, 5


class Drawn(NamedTuple):
    """Made-up outputs, in double precision."""

    student: Tensor
    """Logits [N, C]."""
    members: Tensor
    """The teachers' logits [K, N, C]."""
    labels: Tensor
    """Class indices [N]."""


class LossContract:
    """Subclass it and give it a fixture `config`, as `distillation:` gives it in a study file."""

    @pytest.fixture
    def config(self) -> DistillationConfig:
        """The section of the loss under test; a user's own is an `ImportDistillation`."""
        raise NotImplementedError

    @pytest.fixture
    def drawn(self) -> Drawn:
        """What student and teachers say."""
        draw = torch.Generator().manual_seed(0)
        student = torch.randn(SAMPLES, CLASSES, generator=draw, dtype=torch.float64)
        members = torch.randn(MEMBERS, SAMPLES, CLASSES, generator=draw, dtype=torch.float64)
        return Drawn(student, members, torch.randint(0, CLASSES, (SAMPLES,), generator=draw))

    def test_the_loss_of_a_batch_is_the_mean_over_its_samples(
        self, config: DistillationConfig, drawn: Drawn
    ) -> None:
        """Else the size of the last batch would count."""
        loss = build_loss(config)
        rows = prepared_rows(loss, config, drawn.members)
        halves = [batch_loss(loss, rows, drawn, at) for at in (slice(3), slice(3, SAMPLES))]
        whole = batch_loss(loss, rows, drawn, slice(SAMPLES))
        torch.testing.assert_close(whole, torch.stack(halves).mean())

    def test_it_has_a_finite_gradient_for_every_sample(
        self, config: DistillationConfig, drawn: Drawn
    ) -> None:
        """Also where student and teachers agree or are very sure."""
        loss = build_loss(config)
        for scale in (1.0, 30.0):
            sure = drawn._replace(student=scale * drawn.student, members=scale * drawn.members)
            logits = sure.student.clone().requires_grad_()
            rows = prepared_rows(loss, config, sure.members)
            value = batch_loss(loss, rows, sure._replace(student=logits), slice(SAMPLES))
            (slope,) = torch.autograd.grad(value, logits)
            assert bool(slope.isfinite().all())
            assert bool((slope.abs().sum(dim=1) > 0).all()) or scale > 1

    def test_it_depends_on_nothing_but_what_it_is_given(
        self, config: DistillationConfig, drawn: Drawn
    ) -> None:
        """Made twice, asked twice, after other batches: to the bit; and it draws nothing."""
        torch.manual_seed(5)
        before = torch.get_rng_state()
        found = []
        for _ in range(2):
            loss = build_loss(config)
            rows = prepared_rows(loss, config, drawn.members)
            found.append(batch_loss(loss, rows, drawn, slice(SAMPLES)))
            batch_loss(loss, rows, drawn, slice(2))
            found.append(batch_loss(loss, rows, drawn, slice(SAMPLES)))
        assert all(torch.equal(value, found[0]) for value in found)
        assert torch.equal(torch.get_rng_state(), before)

    def test_preparing_leaves_the_teachers_alone(
        self, config: DistillationConfig, drawn: Drawn
    ) -> None:
        """A row for each sample, without gradient."""
        members = drawn.members.clone().requires_grad_()
        rows = prepared_rows(build_loss(config), config, members)
        assert torch.equal(members, drawn.members)
        assert rows is None or (len(rows) == SAMPLES and not rows.requires_grad)


def batch_loss(loss: TransferLoss, rows: Tensor | None, drawn: Drawn, at: slice) -> Tensor:
    """The loss of some of the samples."""
    logits = drawn.student[at]
    if not logits.requires_grad:
        logits = logits.clone().requires_grad_()
    value = loss.batch_loss(logits, None if rows is None else rows[at], drawn.labels[at])
    assert value.dim() == 0
    return value
