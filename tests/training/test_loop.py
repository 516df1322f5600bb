"""One student: what it sees, in which mode, when it stops and what is kept."""

import math
from collections import Counter
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from kdsearch.distill import build_loss, prepared_rows
from kdsearch.errors import DivergedError
from kdsearch.results import EpochMetrics
from kdsearch.training import StudentRun, TrainingData
from tests.training.problem import (
    NUM_CLASSES,
    NUM_TRAIN,
    dropout_model,
    finish,
    make_data,
    make_model,
    make_run,
    num_batches,
    same_weights,
    teach,
    training_config,
    weights,
)


class Spy(nn.Module):
    """Remembers each forward pass: its mode, its parts' modes and the samples it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.body = dropout_model()
        self.passes: list[tuple[bool, frozenset[bool], list[int]]] = []

    def forward(self, x: Tensor) -> Tensor:
        parts = frozenset(module.training for module in self.body.modules())
        samples = (x[:, 0] * 1000).round().int().tolist()
        self.passes.append((self.training, parts, samples))
        return self.body(x)


def test_in_train_mode_after_every_validation() -> None:
    spy = Spy()
    finish(make_run(spy, epochs=3))
    batches = num_batches(32)
    expected = ([True] * batches + [False]) * 3
    assert [mode for mode, _, _ in spy.passes] == expected
    assert all(parts == {mode} for mode, parts, _ in spy.passes)  # dropout and batch norm too


def test_a_model_that_comes_in_eval_mode_is_trained_in_train_mode() -> None:
    spy = Spy()
    spy.eval()
    finish(make_run(spy, epochs=2))
    assert [mode for mode, _, _ in spy.passes] == ([True] * num_batches(32) + [False]) * 2


def test_validation_leaves_no_trace_in_batch_norm() -> None:
    run = finish(make_run(dropout_model(), epochs=2))
    counted = run.model.state_dict()["1.num_batches_tracked"]
    assert int(counted) == 2 * num_batches(32)


@pytest.mark.parametrize("batch_size", [1000, NUM_TRAIN, 64, 32, 7])
def test_every_sample_once_in_each_epoch(batch_size: int) -> None:
    spy = Spy()
    finish(make_run(spy, epochs=2, batch_size=batch_size))
    trained = [samples for mode, _, samples in spy.passes if mode]
    steps = num_batches(batch_size)
    assert len(trained) == 2 * steps
    orders = [list(chain(*epoch)) for epoch in (trained[:steps], trained[steps:])]
    for order in orders:
        assert Counter(order) == Counter(range(NUM_TRAIN))
    assert orders[0] != orders[1]
    last = NUM_TRAIN - (steps - 1) * batch_size
    assert len(trained[steps - 1]) == last  # the partial batch is used


def test_validates_on_the_whole_validation_set_only() -> None:
    spy = Spy()
    finish(make_run(spy, epochs=1))
    (seen,) = [samples for mode, _, samples in spy.passes if not mode]
    assert seen == list(range(NUM_TRAIN, NUM_TRAIN + 60))


def test_train_loss_weights_batches_by_their_size() -> None:
    """With a learning rate of nearly 0, the mean over batches is the mean over samples."""
    losses = [
        finish(make_run(epochs=1, batch_size=size, learning_rate=1e-12)).history[0].train_loss
        for size in (NUM_TRAIN, 64, 7)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_metrics_by_hand() -> None:
    data = make_data()
    run = finish(make_run(data=data, epochs=2))
    run.model.eval()
    with torch.no_grad():
        z = run.model(data.val_x)
    predicted = z.argmax(dim=1).tolist()
    labels = data.val_y.tolist()
    assert data.teacher_val is not None
    teacher = data.teacher_val.argmax(dim=1).tolist()
    last = run.history[-1]
    hits = sum(p == y for p, y in zip(predicted, labels, strict=True))
    agreed = sum(p == t for p, t in zip(predicted, teacher, strict=True))
    nll = sum(-torch.log_softmax(row, 0)[y].item() for row, y in zip(z, labels, strict=True))
    assert last.epoch == 2
    assert last.val_accuracy == hits / 60
    assert last.val_agreement == agreed / 60
    assert last.val_loss == pytest.approx(nll / 60, rel=1e-5)


def test_learning_rate_is_that_of_the_last_step() -> None:
    run = finish(make_run(epochs=2, learning_rate=0.5))
    steps = num_batches(32)
    expected = [
        0.25 * (1 + math.cos(math.pi * (epoch * steps - 1) / (2 * steps))) for epoch in (1, 2)
    ]
    assert [m.learning_rate for m in run.history] == pytest.approx(expected)


def test_it_learns() -> None:
    run = finish(make_run(epochs=20))
    assert run.kept.val_accuracy > 0.7  # chance is 0.25
    assert run.kept.val_agreement > 0.7
    assert run.history[-1].train_loss < run.history[0].train_loss / 2


def test_same_seeds_same_numbers_bit_for_bit() -> None:
    first = finish(make_run(dropout_model()))
    torch.manual_seed(77)
    torch.rand(3)
    again = finish(make_run(dropout_model()))
    assert first.history == again.history
    assert same_weights(first.model.state_dict(), again.model.state_dict())


def test_other_order_other_numbers() -> None:
    first, other = finish(make_run()), finish(make_run(order_seed=1))
    assert first.history != other.history
    other_weights = finish(make_run(make_model(seed=1)))
    assert first.history != other_weights.history


def test_runs_side_by_side_do_not_disturb_each_other() -> None:
    """Dropout draws from the global random state, which two runs share."""
    alone = [finish(make_run(dropout_model(), order_seed=seed)).history for seed in (0, 1)]
    runs = [make_run(dropout_model(), order_seed=seed) for seed in (0, 1)]
    for epoch in range(1, 5):
        for run in runs:
            list(run.epochs(until=epoch))
            torch.rand(5)
    assert [run.history for run in runs] == alone


def test_in_pieces_or_in_one_go() -> None:
    whole, pieces = finish(make_run()), make_run()
    assert [m.epoch for m in pieces.epochs(until=1)] == [1]
    assert [m.epoch for m in pieces.epochs(until=1)] == []
    for metrics in pieces.epochs(until=4):
        assert metrics.epoch == 2
        break  # whoever stops iterating can go on later
    assert not pieces.is_finished
    assert [m.epoch for m in pieces.epochs(until=99)] == [3, 4]
    assert pieces.is_finished
    assert pieces.history == whole.history
    assert same_weights(pieces.model.state_dict(), whole.model.state_dict())


class Scripted:
    """Scores epochs as it was told, whatever they are."""

    def __init__(self, *scores: float) -> None:
        self._scores = scores

    def __call__(self, metrics: EpochMetrics) -> float:
        return self._scores[metrics.epoch - 1]


def scripted_run(*scores: float, patience: int | None = None, keep: str = "best") -> StudentRun:
    return StudentRun(
        make_model(),
        make_data(),
        training=training_config(epochs=len(scores), patience=patience, keep=keep),
        distillation=teach(),
        width=8,
        order_seed=0,
        score=Scripted(*scores),
    )


@pytest.mark.parametrize(
    ("scores", "patience", "stops", "best"),
    [
        ((1, 2, 3, 4), 1, 4, 4),
        ((1, 0, 5, 6), 1, 2, 1),
        ((1, 0, 5, 0, 0, 9), 2, 5, 3),
        ((3, 3, 3, 3), 2, 3, 1),  # as good is not better
        ((1, 0, 0, 2), None, 4, 4),
        ((-5.0, -4.0, -9.0), None, 3, 2),  # scores such as minus the loss
    ],
)
def test_patience(scores: tuple[float, ...], patience: int | None, stops: int, best: int) -> None:
    run = finish(scripted_run(*scores, patience=patience))
    assert (run.epoch, run.best_epoch) == (stops, best)
    assert run.is_finished
    assert run.best_score == scores[best - 1]
    assert run.kept == run.history[best - 1]


def test_best_weights_are_the_best_epochs() -> None:
    run = scripted_run(1, 5, 2, 3)
    assert run.best_score == -math.inf
    by_epoch = [weights(run.model) for _ in run.epochs(until=4)]
    assert run.best_epoch == 2
    assert same_weights(run.kept_state, by_epoch[1])
    assert not same_weights(run.kept_state, by_epoch[3])


@pytest.mark.parametrize(
    ("scores", "patience", "stops", "best"),
    [
        ((1, 5, 2, 3), None, 4, 2),
        ((1, 0, 5, 0, 0, 9), 2, 5, 3),
        ((3, 3, 3, 3), 2, 3, 1),
        ((1, 2, 3, 4), 1, 4, 4),
    ],
)
def test_the_last_weights_are_kept_and_patience_counts_from_the_best(
    scores: tuple[float, ...], patience: int | None, stops: int, best: int
) -> None:
    run = scripted_run(*scores, patience=patience, keep="last")
    assert (run.kept_epoch, run.best_score) == (0, -math.inf)
    for metrics in run.epochs(until=len(scores)):
        assert run.kept_epoch == metrics.epoch
        assert run.kept == metrics
        assert same_weights(run.kept_state, run.model.state_dict())
    assert run.is_finished
    assert (run.epoch, run.kept_epoch, run.best_epoch) == (stops, stops, best)
    assert run.best_score == scores[best - 1]
    first = scripted_run(*scores, patience=patience)
    by_epoch = [weights(first.model) for _ in first.epochs(until=len(scores))]
    assert same_weights(run.kept_state, by_epoch[-1])
    assert same_weights(first.kept_state, by_epoch[best - 1])


def test_best_weights_include_running_statistics() -> None:
    run = StudentRun(
        dropout_model(), make_data(), training=training_config(epochs=3),
        distillation=teach(), width=8, order_seed=0, score=Scripted(9, 1, 1),
    )  # fmt: skip
    finish(run)
    assert int(run.kept_state["1.num_batches_tracked"]) == num_batches(32)
    data = make_data()
    run.model.load_state_dict(run.kept_state)
    run.model.eval()
    predicted = run.model(data.val_x).argmax(dim=1)
    assert run.kept.val_accuracy == int((predicted == data.val_y).sum()) / 60


@pytest.mark.parametrize("rate", [1e20, 1e30])
def test_divergence_names_epoch_and_learning_rate(rate: float) -> None:
    run = make_run(learning_rate=rate, optimizer="sgd")
    with pytest.raises(DivergedError, match=r"loss became \S+ in epoch 1 at learning rate 1e\+"):
        finish(run)
    assert run.epoch == 0


def test_divergence_in_a_later_epoch() -> None:
    run = make_run()
    list(run.epochs(until=2))
    with torch.no_grad():
        next(run.model.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match=r"training loss became nan in epoch 3 .* 0\.01"):
        finish(run)
    assert run.epoch == 2
    assert all(tensor.isfinite().all() for tensor in run.kept_state.values())


def test_divergence_of_the_last_step_is_seen_in_validation() -> None:
    data = make_data()
    poisoned = data._replace(val_x=torch.full_like(data.val_x, math.inf))
    with pytest.raises(DivergedError, match="validation loss became nan in epoch 1"):
        finish(make_run(data=poisoned))


def broken_teachers(data: TrainingData) -> list[Tensor | None]:
    shape = (3, NUM_TRAIN, NUM_CLASSES)
    return [None, data.teacher_train, torch.zeros(shape), torch.full(shape, math.nan)]


def test_alpha_one_does_not_look_at_the_teacher() -> None:
    data = make_data()
    runs = [
        finish(
            make_run(
                data=data._replace(teacher_train=teacher),
                distillation=teach(alpha=1.0, temperature=temperature, ensemble_size=size),
            )
        )
        for teacher in broken_teachers(data)
        for temperature, size in ((1.0, 1), (20.0, 3))
    ]
    for run in runs[1:]:
        assert run.history == runs[0].history
        assert same_weights(run.model.state_dict(), runs[0].model.state_dict())


def test_without_a_teacher_agreement_is_zero() -> None:
    data = make_data()._replace(teacher_train=None, teacher_val=None)
    run = finish(make_run(data=data, distillation=teach(alpha=1.0)))
    assert [m.val_agreement for m in run.history] == [0.0] * 4


def test_alpha_below_one_needs_a_teacher() -> None:
    data = make_data()._replace(teacher_train=None)
    with pytest.raises(ValueError, match="needs teacher logits"):
        make_run(data=data, distillation=teach(alpha=0.999))


def test_alpha_zero_does_not_look_at_the_labels() -> None:
    data = make_data()
    shifted = data._replace(train_y=(data.train_y + 1) % NUM_CLASSES)
    runs = [finish(make_run(data=d, distillation=teach(alpha=0.0))) for d in (data, shifted)]
    assert runs[0].history == runs[1].history


def test_ensemble_size_and_mode_reach_the_loss() -> None:
    data = make_data()
    assert data.teacher_train is not None
    settings = [
        teach(ensemble_size=size, ensemble_mode=mode)
        for size in (1, 2, 3)
        for mode in ("logit_mean", "prob_mean")
    ]
    losses = [finish(make_run(data=data, distillation=d)).history[-1].train_loss for d in settings]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # one member: the modes agree
    assert len({round(loss, 5) for loss in losses}) >= 5
    poisoned = data._replace(teacher_train=data.teacher_train.clone())
    assert poisoned.teacher_train is not None
    poisoned.teacher_train[2] = math.nan  # a member beyond the ensemble is not read
    alone = finish(make_run(data=poisoned, distillation=settings[2]))
    assert alone.history[-1].train_loss == losses[2]


def test_soft_targets_by_hand() -> None:
    data = make_data()
    assert data.teacher_train is not None
    config = teach(ensemble_size=3, temperature=2.5)
    found = prepared_rows(build_loss(config), config, data.teacher_train)
    mean = (data.teacher_train[0] + data.teacher_train[1] + data.teacher_train[2]) / 3
    assert found is not None
    torch.testing.assert_close(found, torch.softmax(mean / 2.5, dim=1))
    hard = teach(alpha=1.0)
    assert prepared_rows(build_loss(hard), hard, data.teacher_train) is None


def test_teacher_logits_are_left_as_they_were() -> None:
    data = make_data()
    assert data.teacher_train is not None
    before = data.teacher_train.clone()
    finish(make_run(data=data))
    assert torch.equal(data.teacher_train, before)
    assert data.teacher_train.grad is None


def test_mup_rates_reach_the_steps() -> None:
    """One step of SGD is linear in the rate: each parameter moves by its factor."""
    scaled = make_model(width=32)
    settings = {"epochs": 1, "batch_size": NUM_TRAIN, "optimizer": "sgd"}
    run = make_run(scaled, width=32, lr_scaling="mup", mup_base_width=8, **settings)
    before = weights(scaled)
    plain = make_model(width=32)
    plain.load_state_dict(before)
    finish(run)
    finish(make_run(plain, width=32, **settings))
    factors = {
        "hidden.0.weight": 4.0, "hidden.0.bias": 4.0, "hidden.1.weight": 1.0,
        "hidden.1.bias": 4.0, "readout.weight": 0.25, "readout.bias": 1.0,
    }  # fmt: skip
    for name, factor in factors.items():
        moved = scaled.state_dict()[name] - before[name]
        expected = factor * (plain.state_dict()[name] - before[name])
        assert float(expected.abs().max()) > 1e-4
        torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-6)


def test_mup_rescales_the_readout_and_the_rates() -> None:
    plain, scaled = make_model(width=32), make_model(width=32)
    make_run(plain, width=32)
    run = make_run(scaled, width=32, lr_scaling="mup", mup_base_width=8)
    found, expected = scaled.get_parameter("readout.weight"), plain.get_parameter("readout.weight")
    torch.testing.assert_close(found, 0.5 * expected)
    finish(run)
    assert run.history[0].learning_rate <= 1e-2  # the base rate is what is reported
    plain_run = finish(make_run(make_model(width=8), lr_scaling="mup", mup_base_width=8))
    assert plain_run.history == finish(make_run(make_model(width=8))).history
