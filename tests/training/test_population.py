"""The population engine against the reference loop: same losses, same weights, same resume."""

import pytest
import torch

from kdsearch.config import DistillationConfig, MlpModel, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.models import build_model
from kdsearch.models.mlp import Mlp
from kdsearch.training import StudentRun, TrainingData
from kdsearch.training.population import Member, Population
from kdsearch.training.progress import Progress

WIDTHS = (3, 3, 8, 17, 17, 17)
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


def settings(row: int, **training: object) -> tuple[TrainingConfig, DistillationConfig]:
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
        DistillationConfig(
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


def population(
    rows: range | list[int], data: TrainingData, depth: int, **training: object
) -> Population:
    members = [
        Member(build(row, depth), *settings(row, **training), Progress(settings(row)[0]), 5)
        for row in rows
    ]
    return Population(members, data)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("optimizer", "scaling"),
    [("adam", "none"), ("adamw", "none"), ("sgd", "none"), ("adam", "mup"), ("sgd", "mup")],
)
def test_every_student_is_the_one_that_the_reference_loop_trains(
    data: TrainingData, depth: int, optimizer: str, scaling: str
) -> None:
    choice = {"optimizer": optimizer, "lr_scaling": scaling, "mup_base_width": 8}
    together = population(range(len(WIDTHS)), data, depth, **choice)
    for _ in together.epochs(until=EPOCHS):
        pass
    for row, member in enumerate(together.members):
        training, distillation = settings(row, **choice)
        alone = StudentRun(
            build(row, depth),
            data,
            training=training,
            distillation=distillation,
            width=WIDTHS[row],
            order_seed=5,
        )
        list(alone.epochs(until=EPOCHS))
        for mine, its in zip(member.progress.history, alone.history, strict=True):
            assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
            assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-5)
            assert mine.learning_rate == pytest.approx(its.learning_rate)
        final = together.row_state(row)["weights"]
        for name, value in alone.model.state_dict().items():
            torch.testing.assert_close(final[name], value, atol=1e-5, rtol=1e-4)
        best = member.progress.best_state
        assert set(best) == set(alone.best_state)


def test_rows_can_leave_and_the_others_do_not_notice(data: TrainingData) -> None:
    whole = population(range(len(WIDTHS)), data, 2)
    for _ in whole.epochs(until=EPOCHS):
        pass
    kept = [0, 3, 5]
    first = population(range(len(WIDTHS)), data, 2)
    for _ in first.epochs(until=1):
        pass
    rest = population(kept, data, 2)
    for place, row in enumerate(kept):
        rest.load_row(place, first.row_state(row))
    for _ in rest.epochs(until=EPOCHS):
        pass
    for place, row in enumerate(kept):
        mine = rest.members[place].progress.history
        its = whole.members[row].progress.history
        assert len(mine) == len(its) == EPOCHS
        for a, b in zip(mine, its, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)


def test_resuming_is_exact(data: TrainingData) -> None:
    whole = population(range(len(WIDTHS)), data, 2)
    for _ in whole.epochs(until=EPOCHS):
        pass
    first = population(range(len(WIDTHS)), data, 2)
    for _ in first.epochs(until=2):
        pass
    again = population(range(len(WIDTHS)), data, 2)
    for row in range(len(WIDTHS)):
        again.load_row(row, first.row_state(row))
    for _ in again.epochs(until=EPOCHS):
        pass
    for row in range(len(WIDTHS)):
        assert again.members[row].progress.history == whole.members[row].progress.history
        for name, value in whole.row_state(row)["weights"].items():
            assert torch.equal(again.row_state(row)["weights"][name], value)


def test_a_diverged_student_fails_alone(data: TrainingData) -> None:
    members = []
    for row in range(3):
        training, distillation = settings(row, optimizer="sgd", weight_decay=0.0)
        if row == 1:
            training = training.model_copy(update={"learning_rate": 1e30})
        members.append(Member(build(row, 2), training, distillation, Progress(training), 5))
    together = Population(members, data)
    outcome = next(iter(together.epochs(until=1)))
    assert isinstance(outcome[1], DivergedError)
    assert "epoch 1" in str(outcome[1])
    assert not isinstance(outcome[0], DivergedError)
    assert not isinstance(outcome[2], DivergedError)
    alone = population([0], data, 2, optimizer="sgd", weight_decay=0.0)
    reference = next(iter(alone.epochs(until=1)))[0]
    assert not isinstance(reference, DivergedError)
    assert outcome[0].train_loss == pytest.approx(reference.train_loss, abs=1e-6)
