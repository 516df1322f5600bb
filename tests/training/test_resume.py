"""A run resumed from disk is the run that was never interrupted, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.config import CnnModel
from kdsearch.models import build_model
from kdsearch.training import StudentRun, TrainingData, load_checkpoint, save_checkpoint
from tests.training.problem import (
    NUM_CLASSES,
    dropout_model,
    finish,
    make_data,
    make_model,
    make_run,
    same_weights,
)
from tests.training.test_regularized import regularized_model

EPOCHS = 5


def channels_last_cnn(seed: int = 0) -> nn.Module:
    model = build_model(
        CnnModel(kind="cnn", width=4, depth=1),
        input_shape=(2, 8, 8),
        num_classes=NUM_CLASSES,
        seed=seed,
    )
    return model.to(memory_format=torch.channels_last)


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": make_model,
    "dropout": dropout_model,
    "cnn": channels_last_cnn,
    "regularized": regularized_model,
}
SETTINGS: list[dict[str, Any]] = [
    {"optimizer": "adam"},
    {"optimizer": "adamw", "weight_decay": 0.1, "schedule": "constant", "warmup_epochs": 2},
    {"optimizer": "sgd", "weight_decay": 0.01, "warmup_epochs": 1},
    {"optimizer": "adam", "lr_scaling": "mup", "mup_base_width": 2},
]


def start(kind: str, seed: int, settings: dict[str, Any]) -> StudentRun:
    data: TrainingData = make_data(image=kind == "cnn")
    return make_run(MODELS[kind](seed), data, epochs=EPOCHS, **settings)


def hand_over(old: StudentRun, new: StudentRun, path: Path) -> None:
    save_checkpoint(path, {"run": old.state_dict(), "train_seconds": 1.5})
    state = load_checkpoint(path)
    assert state is not None
    new.load_state_dict(state["run"])


def assert_same(found: StudentRun, expected: StudentRun) -> None:
    assert found.history == expected.history
    assert found.best_epoch == expected.best_epoch
    assert same_weights(found.model.state_dict(), expected.model.state_dict())
    assert same_weights(found.kept_state, expected.kept_state)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_resumed_at_every_epoch(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    whole = finish(start(kind, 0, settings))
    for boundary in range(EPOCHS + 1):
        interrupted = start(kind, 0, settings)
        list(interrupted.epochs(until=boundary))
        torch.manual_seed(boundary)  # another process, another random state
        resumed = start(kind, 99, settings)  # and other initial weights
        hand_over(interrupted, resumed, tmp_path / "run.pt")
        assert resumed.epoch == boundary
        assert [m.epoch for m in resumed.epochs(until=EPOCHS)] == [
            *range(boundary + 1, EPOCHS + 1)
        ]
        assert_same(resumed, whole)


def test_resumed_after_each_epoch_in_turn(tmp_path: Path) -> None:
    whole = finish(start("dropout", 0, {}))
    run = start("dropout", 0, {})
    while not run.is_finished:
        list(run.epochs(until=run.epoch + 1))
        successor = start("dropout", run.epoch, {})
        hand_over(run, successor, tmp_path / "run.pt")
        run = successor
    assert_same(run, whole)


def test_patience_is_remembered(tmp_path: Path) -> None:
    settings = {"patience": 2, "learning_rate": 1e-9}  # nothing gets better
    whole = finish(start("mlp", 0, settings))
    assert whole.epoch == 3
    interrupted = start("mlp", 0, settings)
    list(interrupted.epochs(until=2))
    resumed = start("mlp", 9, settings)
    hand_over(interrupted, resumed, tmp_path / "run.pt")
    assert_same(finish(resumed), whole)
    again = start("mlp", 9, settings)
    hand_over(resumed, again, tmp_path / "run.pt")
    assert again.is_finished
    assert list(again.epochs(until=EPOCHS)) == []


def test_what_is_kept_is_remembered(tmp_path: Path) -> None:
    settings = {"keep": "last", "patience": 2, "learning_rate": 1e-9}
    whole = finish(start("dropout", 0, settings))
    assert (whole.epoch, whole.kept_epoch, whole.best_epoch) == (3, 3, 1)
    interrupted = start("dropout", 0, settings)
    list(interrupted.epochs(until=2))
    resumed = start("dropout", 9, settings)
    hand_over(interrupted, resumed, tmp_path / "run.pt")
    assert (resumed.kept_epoch, resumed.best_epoch) == (2, 1)
    assert_same(finish(resumed), whole)
    assert resumed.kept_epoch == 3


def test_an_interrupted_epoch_is_trained_again_from_its_start(tmp_path: Path) -> None:
    """Killed in the middle of epoch 3, after the checkpoint of epoch 2."""
    whole = finish(start("dropout", 0, {}))
    killed = start("dropout", 0, {})
    list(killed.epochs(until=2))
    save_checkpoint(tmp_path / "run.pt", killed.state_dict())
    list(killed.epochs(until=3))
    resumed = start("dropout", 5, {})
    state = load_checkpoint(tmp_path / "run.pt")
    assert state is not None
    resumed.load_state_dict(state)
    assert_same(finish(resumed), whole)


def test_a_checkpoint_on_disk_does_not_move_with_the_run(tmp_path: Path) -> None:
    run = start("mlp", 0, {})
    list(run.epochs(until=1))
    save_checkpoint(tmp_path / "run.pt", run.state_dict())
    before = load_checkpoint(tmp_path / "run.pt")
    finish(run)
    after = load_checkpoint(tmp_path / "run.pt")
    assert before is not None
    assert after is not None
    assert same_weights(before["model"], after["model"])
    assert before["history"] == after["history"]
    assert len(before["history"]) == 1
