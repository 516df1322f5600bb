"""Stacked students of any architecture against the reference loop: losses, weights, resume."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from kdsearch.config import CnnModel, Conv1dModel, KdDistillation, MlpModel, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.models import build_model
from kdsearch.training import StudentRun, TrainingData, load_checkpoint, save_checkpoint
from kdsearch.training.mlp.population import PopulationStudent
from kdsearch.training.progress import Progress
from kdsearch.training.vmap.population import FunctionalPopulation

EPOCHS, WIDTH, CLASSES, ROWS = 3, 4, 5, 4
SHAPES = {"mlp": (12,), "conv1d": (2, 16), "cnn": (1, 8, 8), "own": (12,)}


class Own(nn.Module):
    """A user's: a frozen layer, a norm, a buffer that is not saved, a residual connection."""

    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, WIDTH).requires_grad_(False)
        self.norm = nn.LayerNorm(WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.readout = nn.Linear(WIDTH, CLASSES)
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.first(x))
        return self.readout(h + self.scale * nn.functional.gelu(self.second(h)))


def make_data(kind: str) -> TrainingData:
    draw = torch.Generator().manual_seed(0)
    shape = SHAPES[kind]
    return TrainingData(
        train_x=torch.randn(150, *shape, generator=draw),
        train_y=torch.randint(0, CLASSES, (150,), generator=draw),
        val_x=torch.randn(60, *shape, generator=draw),
        val_y=torch.randint(0, CLASSES, (60,), generator=draw),
        teacher_train=2 * torch.randn(3, 150, CLASSES, generator=draw),
        teacher_val=torch.randn(60, CLASSES, generator=draw),
    )


def build(kind: str, seed: int) -> nn.Module:
    if kind == "own":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Own()
    config = {
        "mlp": MlpModel(kind="mlp", width=WIDTH, depth=2),
        "conv1d": Conv1dModel(kind="conv1d", width=WIDTH, depth=2),
        "cnn": CnnModel(kind="cnn", width=WIDTH, depth=2),
    }[kind]
    return build_model(config, input_shape=SHAPES[kind], num_classes=CLASSES, seed=seed)


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


def stacked(
    kind: str,
    data: TrainingData,
    rows: Sequence[int] = range(ROWS),
    seeds: Callable[[int], int] = lambda row: 5,
    **training: object,
) -> FunctionalPopulation:
    members = [
        member(kind, row, *settings(row, **training), order_seed=seeds(row)) for row in rows
    ]
    return FunctionalPopulation(members, data, width=WIDTH)


def member(
    kind: str,
    row: int,
    training: TrainingConfig,
    distillation: KdDistillation,
    order_seed: int = 5,
) -> PopulationStudent[nn.Module]:
    return PopulationStudent(
        build(kind, row), training, distillation, Progress(training), order_seed
    )


def run(population: FunctionalPopulation, until: int = EPOCHS) -> FunctionalPopulation:
    for outcomes in population.epochs(until=until):
        assert not any(isinstance(o, DivergedError) for o in outcomes.values())
    return population


def assert_is_reference(
    together: FunctionalPopulation,
    kind: str,
    data: TrainingData,
    seeds: Callable[[int], int] = lambda row: 5,
    **training: object,
) -> None:
    for row, one in enumerate(together.students):
        config, distillation = settings(row, **training)
        alone = StudentRun(
            build(kind, row),
            data,
            training=config,
            distillation=distillation,
            width=WIDTH,
            order_seed=seeds(row),
        )
        list(alone.epochs(until=EPOCHS))
        for mine, its in zip(one.progress.history, alone.history, strict=True):
            assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
            assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-5)
            assert mine.val_accuracy == pytest.approx(its.val_accuracy)
            assert mine.val_agreement == pytest.approx(its.val_agreement)
            assert mine.learning_rate == pytest.approx(its.learning_rate)
        final = together.student_state(row)["weights"]
        expected = alone.model.state_dict()
        assert final.keys() == expected.keys() == one.progress.kept_state.keys()
        for name, value in expected.items():
            torch.testing.assert_close(final[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    ("optimizer", "scaling"),
    [("adam", "none"), ("adamw", "none"), ("sgd", "none"), ("adam", "mup"), ("sgd", "mup")],
)
def test_every_student_is_the_one_that_the_reference_loop_trains(
    kind: str, optimizer: str, scaling: str
) -> None:
    data = make_data(kind)
    choice = {"optimizer": optimizer, "lr_scaling": scaling, "mup_base_width": 8}
    assert_is_reference(run(stacked(kind, data, **choice)), kind, data, **choice)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_in_double_precision_only_rounding_is_left(optimizer: str) -> None:
    """Large rates amplify what single precision rounds; a wrong formula would show here, too."""
    data = make_data("cnn")
    tensors = {
        name: value.double()
        for name, value in data._asdict().items()
        if isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    data = data._replace(**tensors)
    epochs, members = 8, []
    for row in range(ROWS):
        choice = {"optimizer": optimizer, "epochs": epochs, "learning_rate": 0.05}
        training, distillation = settings(row, **choice)
        one = member("cnn", row, training, distillation)
        members.append(one._replace(model=one.model.double()))
    together = FunctionalPopulation(members, data, width=WIDTH)
    for _ in together.epochs(until=epochs):
        pass
    for row, one in enumerate(members):
        alone = StudentRun(
            build("cnn", row).double(),
            data,
            training=one.training,
            distillation=one.distillation,
            width=WIDTH,
            order_seed=5,
        )
        list(alone.epochs(until=epochs))
        for mine, its in zip(one.progress.history, alone.history, strict=True):
            assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-9)
            assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-9)


@pytest.mark.parametrize("kind", ["conv1d", "cnn"])
def test_students_may_see_batches_of_their_own(kind: str) -> None:
    data = make_data(kind)
    together = run(stacked(kind, data, seeds=lambda row: row // 2))
    assert_is_reference(together, kind, data, seeds=lambda row: row // 2)


def test_schedules_of_rows_differ() -> None:
    data = make_data("conv1d")
    choice = {"warmup_epochs": 1, "schedule": "constant", "optimizer": "adamw"}
    assert_is_reference(run(stacked("conv1d", data, **choice)), "conv1d", data, **choice)


def test_without_any_teacher_all_learn_from_labels() -> None:
    data = make_data("conv1d")._replace(teacher_train=None, teacher_val=None)
    config, _ = settings(0)
    only = member("conv1d", 0, config, KdDistillation(alpha=1.0))
    together = run(FunctionalPopulation([only], data, width=WIDTH))
    alone = StudentRun(
        build("conv1d", 0),
        data,
        training=config,
        distillation=KdDistillation(alpha=1.0),
        width=WIDTH,
        order_seed=5,
    )
    list(alone.epochs(until=EPOCHS))
    for mine, its in zip(together.students[0].progress.history, alone.history, strict=True):
        assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
        assert mine.val_agreement == its.val_agreement == 0


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resuming_from_disk_is_exact(optimizer: str, tmp_path: Path) -> None:
    data = make_data("conv1d")
    whole = run(stacked("conv1d", data, optimizer=optimizer))
    first = run(stacked("conv1d", data, optimizer=optimizer), until=2)
    save_checkpoint(tmp_path / "rows.pt", {str(r): first.student_state(r) for r in range(ROWS)})
    saved = load_checkpoint(tmp_path / "rows.pt")
    assert saved is not None
    again = stacked("conv1d", data, optimizer=optimizer)
    for row in range(ROWS):
        again.load_student(row, saved[str(row)])
    run(again)
    for row in range(ROWS):
        assert again.students[row].progress.history == whole.students[row].progress.history
        for name, value in whole.student_state(row)["weights"].items():
            assert torch.equal(again.student_state(row)["weights"][name], value)


def test_a_saved_row_does_not_move_with_the_population() -> None:
    together = run(stacked("conv1d", make_data("conv1d")), until=1)
    state = together.student_state(1)
    before = {name: value.clone() for name, value in state["weights"].items()}
    moments = [value.clone() for named in state["moments"] for value in named.values()]
    run(together)
    assert all(torch.equal(state["weights"][name], value) for name, value in before.items())
    after = [value for named in state["moments"] for value in named.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, after, strict=True))
    assert int(state["steps"]) == 3


def test_rows_can_leave_and_the_others_do_not_notice() -> None:
    data = make_data("conv1d")
    first = run(stacked("conv1d", data), until=1)
    kept = [0, 3]
    rest = stacked("conv1d", data, kept)
    for place, row in enumerate(kept):
        rest.load_student(place, first.student_state(row))
    run(rest)
    whole = run(stacked("conv1d", data))
    for place, row in enumerate(kept):
        mine, its = rest.students[place].progress.history, whole.students[row].progress.history
        assert len(mine) == len(its) == EPOCHS
        for a, b in zip(mine, its, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)


def test_regrouped_rows_are_those_of_populations_of_their_own() -> None:
    data = make_data("conv1d")
    together = run(stacked("conv1d", data), until=1)
    newcomer = member("conv1d", 1, *settings(1))
    third, first = together.students[2], together.students[0]
    together.regroup([third, newcomer, first])
    run(together, until=2)
    assert [m.progress.epoch for m in together.students] == [2, 1, 2]
    run(together)
    assert [m.progress.epoch for m in together.students] == [3, 2, 3]
    together.regroup([newcomer])
    run(together)
    together.regroup([first, newcomer, third])
    whole = run(stacked("conv1d", data))
    for mine, row in ((first, 0), (newcomer, 1), (third, 2)):
        its = whole.students[row].progress.history
        assert len(mine.progress.history) == len(its) == EPOCHS
        for a, b in zip(mine.progress.history, its, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)
            assert a.val_loss == pytest.approx(b.val_loss, abs=1e-5)
            assert a.learning_rate == b.learning_rate


class Viewed(TrainingData):
    """Other samples, and other words of the teachers, in each epoch."""

    def at_epoch(self, epoch: int) -> TrainingData:
        return view_of(TrainingData(*self), epoch)


@cache
def view_of(data: TrainingData, epoch: int) -> TrainingData:
    teacher = torch.zeros(3, 150, CLASSES)
    teacher[:, :, epoch] = 3.0
    return data._replace(train_x=data.train_x * epoch, teacher_train=teacher)


def test_students_see_the_view_of_their_epoch() -> None:
    plain = make_data("conv1d")
    together = run(stacked("conv1d", Viewed(*plain)))
    states = [stacked("conv1d", plain).student_state(row) for row in range(ROWS)]
    for epoch in range(1, EPOCHS + 1):
        by_hand = stacked("conv1d", view_of(plain, epoch))
        for row, state in enumerate(states):
            by_hand.load_student(row, state)
        run(by_hand, until=epoch)
        states = [by_hand.student_state(row) for row in range(ROWS)]
    for mine, its in zip(together.students, by_hand.students, strict=True):
        assert mine.progress.history == its.progress.history
    # A newcomer in its first epoch beside one in its second: each sees its own view.
    mixed = run(stacked("conv1d", Viewed(*plain), [0]), until=1)
    old, new = mixed.students[0], member("conv1d", 1, *settings(1))
    mixed.regroup([old, new])
    run(mixed)
    mixed.regroup([new])
    run(mixed)
    for one, row in ((old, 0), (new, 1)):
        expected = together.students[row].progress.history
        for a, b in zip(one.progress.history, expected, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, abs=1e-5)


@pytest.mark.parametrize("kind", ["mlp", "conv1d", "cnn"])
def test_a_diverged_student_fails_alone(kind: str) -> None:
    data = make_data(kind)
    members = []
    for row in range(3):
        training, distillation = settings(row, optimizer="sgd", weight_decay=0.0)
        if row == 1:
            training = training.model_copy(update={"learning_rate": 1e30})
        members.append(member(kind, row, training, distillation))
    together = FunctionalPopulation(members, data, width=WIDTH)
    outcome = next(iter(together.epochs(until=1)))
    assert isinstance(outcome[1], DivergedError)
    assert "loss became" in str(outcome[1])
    assert "in epoch 1 at learning rate 1e+30" in str(outcome[1])
    alone = stacked(kind, data, [0, 2], optimizer="sgd", weight_decay=0.0)
    expected = next(iter(alone.epochs(until=1)))
    for row, place in ((0, 0), (2, 1)):
        mine, its = outcome[row], expected[place]
        assert not isinstance(mine, DivergedError)
        assert not isinstance(its, DivergedError)
        assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-6)
        assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-6)


def test_patience_ends_the_step_in_which_it_runs_out() -> None:
    data = make_data("mlp")
    training, distillation = settings(0, patience=1, learning_rate=1e-12)
    members = [member("mlp", 0, training, distillation) for _ in range(2)]
    together = FunctionalPopulation(members, data, width=WIDTH)
    list(together.epochs(until=EPOCHS))
    assert all(m.progress.is_finished for m in together.students)
    assert together.students[0].progress.epoch == 2
