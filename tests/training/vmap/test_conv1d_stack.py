"""The passes of conv1d students against autograd through their modules, and their training."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from kdsearch.config import KdDistillation, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.models.conv1d import Conv1dNet
from kdsearch.training import (
    FunctionalPopulation,
    LoneRun,
    PopulationStudent,
    Progress,
    StudentRun,
)
from kdsearch.training.data import TrainingData
from kdsearch.training.vmap import conv1d_stack as stacks
from kdsearch.training.vmap.conv1d_stack import Conv1dStack, split

CLASSES = 5


class Case(NamedTuple):
    """Students, and the signals that they read."""

    shape: tuple[int, ...]
    width: int
    depth: int
    rows: int = 3
    batch_size: int = 7

    def nets(self) -> list[Conv1dNet]:
        """Students whose batch norms differ from new ones, too."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.width)
            made = [
                Conv1dNet(
                    input_shape=self.shape,
                    num_classes=CLASSES,
                    width=self.width,
                    depth=self.depth,
                )
                for _ in range(self.rows)
            ]
            with torch.no_grad():
                for net in made:
                    for value in net.parameters():
                        if value.dim() == 1:
                            value.add_(0.3 * torch.randn_like(value))
                    for name, value in net.named_buffers():
                        if "running" in name:
                            value.add_(torch.rand_like(value))
        return made

    def samples(self, *lead: int, seed: int = 0) -> Tensor:
        """Signals [*lead, *shape]."""
        draw = torch.Generator().manual_seed(seed)
        return 0.5 + torch.randn(*lead, *self.shape, generator=draw)


CASES = [
    Case((40,), width=4, depth=3),
    Case((1, 40), width=1, depth=3, rows=1),
    Case((3, 17), width=5, depth=2),
    Case((2,), width=3, depth=1),
    Case((3,), width=3, depth=1, batch_size=1),
    Case((2, 5), width=2, depth=2, batch_size=2),
    Case((31,), width=6, depth=4, rows=5),
    Case((32,), width=2, depth=5, batch_size=3),
    Case((300,), width=2, depth=8, rows=2),
    Case((40,), width=48, depth=3, rows=2, batch_size=33),
]


@pytest.fixture(params=[2**12, 2**30], ids=["small groups", "one group"])
def group_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(stacks, "GROUP_BYTES", request.param)
    return request.param


def gradients(
    stack: Conv1dStack, x: Tensor, slope: Tensor, *, shared: bool
) -> tuple[Tensor, Tensor]:
    """Logits [P, C, B] and gradients [P, M]."""
    logits = torch.full_like(slope, torch.nan)

    def seen(mine: Tensor, rows: slice) -> Tensor:
        assert logits[rows].isnan().all(), "each row once"
        logits[rows] = mine
        return slope[rows].clone()

    return logits, stack.gradients(x, seen, shared=shared).clone()


def assert_is_module(
    stack: Conv1dStack, row: int, net: Conv1dNet, found: Tensor, expected: Sequence[Tensor]
) -> None:
    """Gradients and buffers of a row are those of a module of its own, in double."""
    for mine, its in zip(stack.numbers(found, row).values(), expected, strict=True):
        scale = float(its.abs().max())
        torch.testing.assert_close(mine.double(), its, atol=3e-6 + 3e-6 * scale, rtol=2e-5)
    for name, value in net.named_buffers():
        mine = stack.buffers(row)[name]
        torch.testing.assert_close(mine.to(value), value, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_autograds(case: Case, shared: bool, group_bytes: int) -> None:
    nets = case.nets()
    stack, alone = Conv1dStack(nets), [copy.deepcopy(net).double() for net in nets]
    lead = (case.batch_size,) if shared else (case.rows, case.batch_size)
    draw = torch.Generator().manual_seed(1)
    slope = torch.randn(case.rows, CLASSES, case.batch_size, generator=draw)
    for step in range(2):  # the second in buffers that the first has filled
        x = case.samples(*lead, seed=step)
        logits, grads = gradients(stack, x, slope, shared=shared)
        for row, net in enumerate(alone):
            its = net.train()((x if shared else x[row]).double())
            torch.testing.assert_close(logits[row].double(), its.t(), atol=1e-5, rtol=1e-5)
            expected = torch.autograd.grad(its, list(net.parameters()), slope[row].t().double())
            assert_is_module(stack, row, net, grads, expected)
    x = case.samples(11)
    predicted = stack.predict(x)
    for row, net in enumerate(alone):
        its = net.eval()(x.double()).t()
        torch.testing.assert_close(predicted[row].double(), its, atol=1e-5, rtol=1e-5)
        assert stack.buffers(row)["features.1.num_batches_tracked"] == 2


def test_a_step_is_deterministic_and_knows_no_rows() -> None:
    case = Case((40,), width=6, depth=3, rows=4, batch_size=16)
    nets, x = case.nets(), case.samples(16)
    slope = torch.randn(4, CLASSES, 16, generator=torch.Generator().manual_seed(2))
    _, first = gradients(Conv1dStack(nets), x, slope, shared=True)
    _, again = gradients(Conv1dStack(nets), x, slope, shared=True)
    assert torch.equal(first, again)
    _, turned = gradients(Conv1dStack(nets[::-1]), x, slope.flip(0), shared=True)
    torch.testing.assert_close(turned.flip(0), first, atol=1e-6, rtol=1e-6)


def test_long_signals_lose_no_precision_in_the_variance() -> None:
    case = Case((20_000,), width=2, depth=1, rows=1, batch_size=64)
    (net,) = case.nets()
    stack, double = Conv1dStack([net]), copy.deepcopy(net).double()
    x = case.samples(64)
    gradients(stack, x, torch.zeros(1, CLASSES, 64), shared=True)
    double.train()(x.double())
    mine = stack.buffers(0)["features.1.running_var"].double()
    torch.testing.assert_close(
        mine, double.get_buffer("features.1.running_var"), rtol=1e-6, atol=0
    )


def test_one_value_a_channel_is_refused_as_by_the_module() -> None:
    case = Case((2,), width=3, depth=1, batch_size=1)
    nets, x = case.nets(), case.samples(1)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nets[0].train()(x)
    with pytest.raises(ValueError, match="more than one value a channel"):
        gradients(Conv1dStack(nets), x, torch.zeros(3, CLASSES, 1), shared=True)
    assert Conv1dStack(nets).predict(x).shape == (3, CLASSES, 1)


@pytest.mark.parametrize(
    ("count", "most", "sizes"),
    [(16, 16, [16]), (16, 5, [4, 4, 4, 4]), (7, 3, [3, 2, 2]), (3, 1, [1, 1, 1]), (1, 9, [1])],
)
def test_groups_are_few_and_alike(count: int, most: int, sizes: list[int]) -> None:
    assert split(count, most) == sizes


DATA_CASE = Case((2, 21), width=6, depth=3, rows=5)


def make_data() -> TrainingData:
    draw = torch.Generator().manual_seed(3)
    return TrainingData(
        train_x=DATA_CASE.samples(101),
        train_y=torch.randint(0, CLASSES, (101,), generator=draw),
        val_x=DATA_CASE.samples(600, seed=1),
        val_y=torch.randint(0, CLASSES, (600,), generator=draw),
        teacher_train=2 * torch.randn(2, 101, CLASSES, generator=draw),
        teacher_val=torch.randn(600, CLASSES, generator=draw),
    )


def settings(row: int, epochs: int = 3) -> tuple[TrainingConfig, KdDistillation]:
    training = TrainingConfig(epochs=epochs, batch_size=32, learning_rate=1e-3 * (1 + row))
    teach = KdDistillation(temperature=1.0 + row, alpha=(0.2, 1.0)[row % 2], ensemble_size=2)
    return training, teach


def together(nets: Sequence[Conv1dNet], data: TrainingData) -> FunctionalPopulation:
    members = []
    for row, net in enumerate(nets):
        training, teach = settings(row)
        members.append(
            PopulationStudent(net, training, teach, Progress(training), order_seed=row % 2)
        )
    return FunctionalPopulation(members, data, width=DATA_CASE.width)


def test_groups_train_the_students_of_the_reference_loop(group_bytes: int) -> None:
    data, nets = make_data(), DATA_CASE.nets()
    population = together(nets, data)
    for outcomes in population.epochs(until=3):
        assert not any(isinstance(outcome, DivergedError) for outcome in outcomes.values())
    for row, net in enumerate(nets):
        training, teach = settings(row)
        alone = StudentRun(
            copy.deepcopy(net),
            data,
            training=training,
            distillation=teach,
            width=DATA_CASE.width,
            order_seed=row % 2,
        )
        history = list(alone.epochs(until=3))
        for mine, its in zip(population.students[row].progress.history, history, strict=True):
            assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
            assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-5)
            assert mine.val_agreement == pytest.approx(its.val_agreement)
        for name, value in population.student_state(row)["weights"].items():
            its = alone.model.state_dict()[name]
            torch.testing.assert_close(value, its, atol=1e-5, rtol=1e-4)


def test_groups_resume_to_the_bit(group_bytes: int) -> None:
    data, nets = make_data(), DATA_CASE.nets()
    whole, first, again = (together(nets, data) for _ in range(3))
    list(whole.epochs(until=3))
    list(first.epochs(until=1))
    for row in range(len(nets)):
        again.load_student(row, first.student_state(row))
    list(again.epochs(until=3))
    for row in range(len(nets)):
        expected = whole.student_state(row)["weights"]
        for name, value in again.student_state(row)["weights"].items():
            assert torch.equal(value, expected[name])


def test_a_lone_run_stops_and_goes_on_as_the_reference_loop_would() -> None:
    data, (net, *_) = make_data(), DATA_CASE.nets()
    training, teach = settings(0)

    def start() -> LoneRun:
        return LoneRun(
            net, data, training=training, distillation=teach, width=DATA_CASE.width, order_seed=4
        )

    whole, begun, resumed = start(), start(), start()
    history = list(whole.epochs(until=3))
    list(begun.epochs(until=1))
    resumed.load_state_dict(begun.state_dict())
    assert list(resumed.epochs(until=9)) == history[1:]
    assert list(resumed.epochs(until=9)) == []
    alone = StudentRun(
        copy.deepcopy(net), data, training=training, distillation=teach, width=6, order_seed=4
    )
    for mine, its in zip(history, alone.epochs(until=3), strict=True):
        assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-5)
    for name, value in whole.kept_state.items():
        assert torch.equal(resumed.kept_state[name], value)
        torch.testing.assert_close(alone.kept_state[name], value, atol=1e-5, rtol=1e-4)
