"""A loss without a closed form: many students in one step against each one alone."""

import sys
import types
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from kdsearch.config import ImportDistillation, TrainingConfig
from kdsearch.distill import TransferLoss
from kdsearch.training import FunctionalPopulation, PopulationStudent, Progress, StudentRun
from tests.training.problem import make_data, make_model, training_config

ROWS = 5


class Absolute(TransferLoss):
    """Mean absolute difference of logits beside the hard loss."""

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def batch_loss(
        self, student_logits: Tensor, prepared: Tensor | None, labels: Tensor
    ) -> Tensor:
        assert prepared is not None
        hard = torch.nn.functional.cross_entropy(student_logits, labels)
        return self._weight * hard + (1 - self._weight) * (student_logits - prepared).abs().mean()


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    made = types.ModuleType("absolute_loss")
    made.__dict__["Absolute"] = Absolute
    sys.modules["absolute_loss"] = made
    yield
    del sys.modules["absolute_loss"]


def taught(row: int) -> ImportDistillation:
    return ImportDistillation(
        kind="import",
        target="absolute_loss:Absolute",
        options={"weight": row / ROWS},
        ensemble_size=1 + row % 3,
    )


def config(row: int) -> TrainingConfig:
    return training_config(learning_rate=1e-3 * (1 + row))


def member(row: int, seeds: Callable[[int], int]) -> PopulationStudent[torch.nn.Module]:
    mine = config(row)
    return PopulationStudent(make_model(row), mine, taught(row), Progress(mine), seeds(row))


@pytest.mark.parametrize("shared", [True, False])
def test_students_together_learn_what_each_learns_alone(shared: bool) -> None:
    data = make_data()

    def seeds(row: int) -> int:
        return 5 if shared else row

    members = [member(row, seeds) for row in range(ROWS)]
    together = FunctionalPopulation(members, data, width=8)
    list(together.epochs(until=2))
    together.regroup([members[3], members[0], members[4]])  # what they prepared stays theirs
    list(together.epochs(until=4))
    for row in (0, 3, 4):
        alone = StudentRun(
            make_model(row), data,
            training=config(row), distillation=taught(row), width=8, order_seed=seeds(row),
        )  # fmt: skip
        list(alone.epochs(until=4))
        mine = members[row].progress
        assert [m.epoch for m in mine.history] == [1, 2, 3, 4]
        for a, b in zip(mine.history, alone.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
            assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)
        for name, value in mine.kept_state.items():
            torch.testing.assert_close(value, alone.kept_state[name], atol=1e-5, rtol=1e-4)
