"""The population engine against the reference loop: same losses, same weights, same resume."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch

from kdsearch.config import KdDistillation, MlpModel, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.models import build_model
from kdsearch.models.mlp import Mlp
from kdsearch.training import StudentRun, TrainingData
from kdsearch.training.mlp.loss import Teachers
from kdsearch.training.mlp.population import MlpPopulation
from kdsearch.training.mlp.stack import make_layout
from kdsearch.training.mlp.update import make_pieces
from kdsearch.training.population import PopulationStudent
from kdsearch.training.progress import Progress

WIDTHS = (3, 3, 8, 17, 17, 17, 5)
ORDERS = (5, 5, 5, 5, 9, 9, 7)
ROWS = range(len(WIDTHS))
EPOCHS = 3


@pytest.fixture(scope="module")
def data() -> TrainingData:
    draw = torch.Generator().manual_seed(0)
    return TrainingData(
        train_x=torch.randn(300, 12, generator=draw),
        train_y=torch.randint(0, 5, (300,), generator=draw),
        val_x=torch.randn(90, 12, generator=draw),
        val_y=torch.randint(0, 5, (90,), generator=draw),
        teacher_train=2 * torch.randn(3, 300, 5, generator=draw),
        teacher_val=torch.randn(90, 5, generator=draw),
    )


def settings(row: int, **training: object) -> tuple[TrainingConfig, KdDistillation]:
    return (
        TrainingConfig.model_validate(
            {
                "epochs": EPOCHS,
                "batch_size": 64,
                "learning_rate": 1e-3 * (1 + row),
                "weight_decay": 1e-2 * (row % 2),
            }
            | training
        ),
        KdDistillation(
            temperature=1.0 + row,
            alpha=(0.0, 0.3, 1.0, 0.7)[row % 4],
            ensemble_size=1 + row % 3,
            ensemble_mode=("logit_mean", "prob_mean")[row % 2],
        ),
    )


def build(row: int, depth: int) -> Mlp:
    config = MlpModel(kind="mlp", width=WIDTHS[row], depth=depth)
    model = build_model(config, input_shape=(12,), num_classes=5, seed=row)
    assert isinstance(model, Mlp)
    return model


def make_member(row: int, depth: int = 2, **training: object) -> PopulationStudent[Mlp]:
    config, distillation = settings(row, **training)
    return PopulationStudent(
        build(row, depth), config, distillation, Progress(config), ORDERS[row]
    )


def population(
    rows: Sequence[int], data: TrainingData, depth: int, **training: object
) -> MlpPopulation:
    return MlpPopulation([make_member(row, depth, **training) for row in rows], data)


def reference(row: int, data: TrainingData, depth: int = 2, **training: object) -> StudentRun:
    config, distillation = settings(row, **training)
    alone = StudentRun(
        build(row, depth),
        data,
        training=config,
        distillation=distillation,
        width=WIDTHS[row],
        order_seed=ORDERS[row],
    )
    list(alone.epochs(until=EPOCHS))
    return alone


def assert_equal_training(progress: Progress, alone: StudentRun) -> None:
    for mine, its in zip(progress.history, alone.history, strict=True):
        assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
        assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-5)
        assert mine.learning_rate == pytest.approx(its.learning_rate)


def finish(together: MlpPopulation) -> dict[Progress, dict[str, torch.Tensor]]:
    """Train on without those that have finished; the final weights of all."""
    final: dict[Progress, dict[str, torch.Tensor]] = {}
    while True:
        for _ in together.epochs(until=EPOCHS):
            pass
        for row, member in enumerate(together.students):
            final[member.progress] = together.student_state(row)["weights"]
        left = [m for m in together.students if not m.progress.is_finished]
        if not left:
            return final
        together.regroup(left)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("optimizer", "scaling"),
    [("adam", "none"), ("adamw", "none"), ("sgd", "none"), ("adam", "mup"), ("sgd", "mup")],
)
def test_every_student_is_the_one_that_the_reference_loop_trains(
    data: TrainingData, depth: int, optimizer: str, scaling: str
) -> None:
    choice = {"optimizer": optimizer, "lr_scaling": scaling, "mup_base_width": 8}
    together = population(ROWS, data, depth, **choice)
    for _ in together.epochs(until=EPOCHS):
        pass
    for row, member in enumerate(together.students):
        alone = reference(row, data, depth, **choice)
        assert_equal_training(member.progress, alone)
        final = together.student_state(row)["weights"]
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(final[name], value, atol=1e-5, rtol=1e-4)
        assert set(member.progress.kept_state) == set(alone.kept_state)


def test_rows_can_leave_and_the_others_do_not_notice(data: TrainingData) -> None:
    whole = population(ROWS, data, 2)
    for _ in whole.epochs(until=EPOCHS):
        pass
    kept = [0, 3, 5]
    first = population(ROWS, data, 2)
    for _ in first.epochs(until=1):
        pass
    rest = population(kept, data, 2)
    for place, row in enumerate(kept):
        rest.load_student(place, first.student_state(row))
    for _ in rest.epochs(until=EPOCHS):
        pass
    for place, row in enumerate(kept):
        mine = rest.students[place].progress.history
        its = whole.students[row].progress.history
        assert len(mine) == len(its) == EPOCHS
        for a, b in zip(mine, its, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)


def test_resuming_is_exact(data: TrainingData) -> None:
    whole = population(ROWS, data, 2)
    for _ in whole.epochs(until=EPOCHS):
        pass
    first = population(ROWS, data, 2)
    for _ in first.epochs(until=2):
        pass
    again = population(ROWS, data, 2)
    for row in ROWS:
        again.load_student(row, first.student_state(row))
    for _ in again.epochs(until=EPOCHS):
        pass
    for row in ROWS:
        assert again.students[row].progress.history == whole.students[row].progress.history
        for name, value in whole.student_state(row)["weights"].items():
            assert torch.equal(again.student_state(row)["weights"][name], value)


def test_a_diverged_student_fails_alone(data: TrainingData) -> None:
    members = []
    for row in range(3):
        training, distillation = settings(row, optimizer="sgd", weight_decay=0.0)
        if row == 1:
            training = training.model_copy(update={"learning_rate": 1e30})
        members.append(
            PopulationStudent(build(row, 2), training, distillation, Progress(training), 5)
        )
    together = MlpPopulation(members, data)
    outcome = next(iter(together.epochs(until=1)))
    assert isinstance(outcome[1], DivergedError)
    assert "epoch 1" in str(outcome[1])
    assert not isinstance(outcome[0], DivergedError)
    assert not isinstance(outcome[2], DivergedError)
    alone = population([0], data, 2, optimizer="sgd", weight_decay=0.0)
    its = next(iter(alone.epochs(until=1)))[0]
    assert not isinstance(its, DivergedError)
    assert outcome[0].train_loss == pytest.approx(its.train_loss, abs=1e-6)


@pytest.mark.parametrize("scaling", ["none", "mup"])
def test_students_wider_than_a_piece_and_narrower_ones(
    data: TrainingData, scaling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdsearch.training.mlp.update.PIECE_UNITS", 7)
    choice = {"lr_scaling": scaling, "mup_base_width": 8}
    together = population(ROWS, data, 2, **choice)
    finish(together)
    for row, member in enumerate(together.students):
        assert_equal_training(member.progress, reference(row, data, **choice))


def test_members_in_different_epochs_train_together(data: TrainingData) -> None:
    members = [make_member(row) for row in ROWS]
    together = MlpPopulation([members[row] for row in (0, 1, 5, 6)], data)
    for _ in together.epochs(until=1):
        pass
    waiting = together.student_state(3)
    together.regroup([members[row] for row in (2, 3, 1, 5, 0)])
    assert [m.progress.epoch for m in together.students] == [0, 0, 1, 1, 1]
    for _ in together.epochs(until=2):
        pass
    together.regroup([members[row] for row in (2, 6, 1, 4, 5, 3, 0)])
    together.load_student(1, waiting)
    final = finish(together)
    for row, member in enumerate(members):
        alone = reference(row, data)
        assert_equal_training(member.progress, alone)
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(final[member.progress][name], value, atol=1e-5, rtol=1e-4)


def test_resuming_members_in_different_epochs_is_exact(data: TrainingData) -> None:
    def begin() -> MlpPopulation:
        together = population([0, 1, 5], data, 2)
        for _ in together.epochs(until=1):
            pass
        together.regroup([make_member(2), *together.students, make_member(4)])
        return together

    first, whole = begin(), begin()
    again = population([2, 0, 1, 5, 4], data, 2)
    for row in range(5):
        again.load_student(row, first.student_state(row))
    finals = [finish(together) for together in (whole, again)]
    for mine, its in zip(finals[0].values(), finals[1].values(), strict=True):
        for name, value in its.items():
            assert torch.equal(mine[name], value)
    histories = [[progress.history for progress in final] for final in finals]
    assert histories[0] == histories[1]


def test_soft_targets_of_those_who_stay_are_not_made_again(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[KdDistillation] = []
    lesson = Teachers.lesson

    def watched(self: Teachers, teach: KdDistillation, *rest: Any) -> Any:
        asked.append(teach)
        return lesson(self, teach, *rest)

    monkeypatch.setattr(Teachers, "lesson", watched)
    together = population([0, 1, 2, 3], data, 2)
    for _ in together.epochs(until=1):
        pass
    assert len(asked) == 4
    newcomer = make_member(6)
    together.regroup([together.students[3], newcomer, together.students[0]])
    for _ in together.epochs(until=2):
        pass
    assert asked[4:] == [newcomer.distillation]


class Viewed(TrainingData):
    """Other samples, and other words of the teachers, in each epoch."""

    def at_epoch(self, epoch: int) -> TrainingData:
        return view_of(TrainingData(*self), epoch)


@cache
def view_of(data: TrainingData, epoch: int) -> TrainingData:
    assert data.teacher_train is not None
    return data._replace(
        train_x=data.train_x * epoch, teacher_train=data.teacher_train.roll(epoch, dims=2)
    )


def test_students_see_the_view_of_their_epoch(data: TrainingData) -> None:
    members = [make_member(row) for row in ROWS]
    together = MlpPopulation(members[:3], Viewed(*data))
    for _ in together.epochs(until=1):
        pass
    together.regroup(members)  # the newcomers see the first view while the others see the second
    finish(together)
    for row, member in enumerate(members):
        assert_equal_training(member.progress, reference(row, Viewed(*data)))
    plain = reference(0, data).history[-1].train_loss
    assert members[0].progress.history[-1].train_loss != pytest.approx(plain, abs=1e-3)


def test_pieces_cover_every_students_units_once() -> None:
    layout = make_layout([3, 3, 8, 17, 5], [0, 0, 1, 1, 1], depth=1, fan_in=4, num_classes=2)
    pieces = list(make_pieces(layout, 8))
    assert [(p.block, p.units.stop - p.units.start) for p in pieces] == [
        (0, 7), (1, 8), (1, 8), (1, 8), (1, 7)
    ]  # fmt: skip
    for row in range(5):
        shares = [share for piece in pieces for share in piece.shares if share.row == row]
        assert [share.is_first for share in shares] == [True] + [False] * (len(shares) - 1)
        units = [u for share in shares for u in range(share.units.start, share.units.stop)]
        own = layout.units(row)
        assert units == list(range(own.start, own.stop))
