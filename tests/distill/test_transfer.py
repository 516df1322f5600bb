"""The seam of the losses: what each kind needs, prepares and gives, and how a user's own fails."""

import sys
import textwrap
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kdsearch.config import (
    BuiltInDistillation,
    DistillationConfig,
    ImportDistillation,
    KdDistillation,
)
from kdsearch.config.reading.sections import alternatives
from kdsearch.distill import (
    build_loss,
    distillation_loss,
    ensemble_logits,
    prepared_rows,
    try_out,
)
from kdsearch.errors import UserInputError
from kdsearch.testing import LossContract

BUILT_IN = [
    kind
    for kind in alternatives(typing.get_args(DistillationConfig)[0])
    if issubclass(kind, BuiltInDistillation)
]
BATCH = "class Mine(TransferLoss):\n    def batch_loss(self, s, p, y): "
PREPARE = "class Mine(TransferLoss):\n    def prepare(self, teachers): "
LOSS = "from torch import nn\nfrom kdsearch.distill import TransferLoss\nimport torch\n"

WriteLoss = Callable[[str], str]


@pytest.fixture
def write_loss(
    folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> WriteLoss:
    """Writes a module with a class `Mine`; gives its target."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(body: str) -> str:
        name = f"loss_{abs(hash(request.node.nodeid))}"
        (folder / f"{name}.py").write_text(LOSS + textwrap.dedent(body))
        return f"{name}:Mine"

    return write


def draw() -> tuple[Tensor, Tensor, Tensor]:
    """Student logits [6, 5], three members' logits [3, 6, 5] and labels [6]."""
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    members = torch.randn(3, 6, 5, generator=generator, dtype=torch.float64)
    return student, members, torch.randint(0, 5, (6,), generator=generator)


def section(kind: type[BuiltInDistillation], **fields: float) -> Any:
    """A section of a kind, its other fields at their defaults."""
    (name,) = typing.get_args(kind.model_fields["kind"].annotation)
    return kind.model_validate({"kind": name} | fields)


def loss_of(config: DistillationConfig) -> Tensor:
    student, members, labels = draw()
    loss = build_loss(config)
    rows = prepared_rows(loss, config, members)
    return loss.batch_loss(student.requires_grad_(), rows, labels)


@pytest.mark.parametrize("mode", ["logit_mean", "prob_mean"])
@pytest.mark.parametrize(("size", "members"), [(2, 2), (None, 3)])
def test_kd_is_the_public_formula(size: int | None, members: int, mode: str) -> None:
    config = KdDistillation.model_validate(
        {"temperature": 3.0, "alpha": 0.2, "ensemble_size": size, "ensemble_mode": mode}
    )
    student, logits, labels = draw()
    mixed = ensemble_logits(logits, size=members, mode=mode, temperature=3.0)  # type: ignore[arg-type]
    assert loss_of(config) == distillation_loss(student, mixed, labels, 3.0, 0.2)


class TestBuiltIn(LossContract):
    @pytest.fixture(params=BUILT_IN)
    def config(self, request: pytest.FixtureRequest) -> DistillationConfig:
        return section(request.param)


@pytest.mark.parametrize("kind", [k for k in BUILT_IN if "alpha" in k.model_fields])
def test_alpha_one_needs_nothing_of_the_teachers(kind: type[BuiltInDistillation]) -> None:
    config = section(kind, alpha=1.0)
    loss = build_loss(config)
    assert loss.needs == frozenset()
    assert prepared_rows(loss, config, None) is None
    student, _, labels = draw()
    hard = torch.nn.functional.cross_entropy(student, labels)
    torch.testing.assert_close(loss.batch_loss(student, None, labels), hard)
    taught = section(kind, alpha=0.999)
    with pytest.raises(ValueError, match="needs teacher logits"):
        prepared_rows(build_loss(taught), taught, None)


MINE = """
    class Mine(TransferLoss):
        def __init__(self, weight=0.25):
            self.weight = weight

        def batch_loss(self, student_logits, prepared, labels):
            hard = nn.functional.cross_entropy(student_logits, labels)
            soft = (student_logits - prepared).abs().mean()
            return self.weight * hard + (1 - self.weight) * soft
"""


def test_a_users_loss_hears_the_ensemble(write_loss: WriteLoss) -> None:
    target = write_loss(MINE)
    student, members, labels = draw()
    config = ImportDistillation(kind="import", target=target, ensemble_size=2)
    hard = torch.nn.functional.cross_entropy(student, labels)
    soft = (student - members[:2].mean(dim=0)).abs().mean()
    torch.testing.assert_close(loss_of(config), 0.25 * hard + 0.75 * soft)
    other = config.model_copy(update={"options": {"weight": 1.0}})
    torch.testing.assert_close(loss_of(other), hard)
    try_out(target, {}, num_classes=5)


def test_a_users_loss_may_do_without_teachers(write_loss: WriteLoss) -> None:
    target = write_loss(
        """
        class Mine(TransferLoss):
            needs = frozenset()

            def batch_loss(self, student_logits, prepared, labels):
                assert prepared is None
                return nn.functional.cross_entropy(student_logits, labels, label_smoothing=0.1)
        """
    )
    config = ImportDistillation(kind="import", target=target)
    assert prepared_rows(build_loss(config), config, None) is None
    try_out(target, {}, num_classes=5)


@pytest.mark.parametrize(
    ("body", "phrase"),
    [
        ("Mine = 3", "of type int; a function or class is allowed"),
        ("def Mine(): return 3",
         "made something of type int without needs and prepare and batch_loss"),
        ("def Mine(weight): return 3", "missing 1 required positional argument: 'weight'"),
        ("class Mine(TransferLoss): needs = {'hints'}", "needs is {'hints'}; allowed is"),
        (PREPARE + "return 3",
         "prepare returned something of type int for 4 samples; allowed is a tensor [4, ...]"),
        (PREPARE + "return torch.zeros(3, 2)",
         "prepare returned a tensor [3, 2], no gradient for 4 samples"),
        (PREPARE + "return teachers.features()",
         "prepare failed with AttributeError: 'TeacherSignals' object has no"),
        ("class Mine(TransferLoss): pass",
         "batch_loss returned something of type NoneType; allowed is a scalar"),
        (BATCH + "return s - p",
         "batch_loss returned a tensor [4, 5]; allowed is a scalar tensor that depends on"),
        (BATCH + "return p.mean()",
         "batch_loss returned a tensor [], no gradient; allowed is a scalar tensor that depends"),
        (BATCH + "return s.view(7).mean()",
         "batch_loss failed with RuntimeError: shape '[7]' is invalid"),
        (BATCH + "raise SystemExit(3)",
         "batch_loss failed with SystemExit: 3"),
        (BATCH + "return (s - s).sqrt().sum()",
         "a loss or a gradient that is not finite"),
        (BATCH + "return (s * torch.rand(())).mean()",
         "gave another loss when it was called again"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_users_loss_is_one_sentence(
    write_loss: WriteLoss, body: str, phrase: str
) -> None:
    target = write_loss(body)
    with pytest.raises(UserInputError) as caught:
        try_out(target, {}, num_classes=5)
    assert phrase in str(caught.value)
    assert target in str(caught.value)
    assert "\n" not in str(caught.value)
