"""Dropout and constraints in the reference loop: from the seed, after every step."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import MlpModel
from kdsearch.models import build_model, predict_logits
from kdsearch.training import StudentRun
from tests.training.problem import (
    NUM_CLASSES,
    NUM_FEATURES,
    finish,
    make_data,
    make_model,
    make_run,
    num_batches,
    same_weights,
    weights,
)

EPOCHS = 4
MAX_NORM = 0.6


def regularized_model(seed: int = 0, **settings: Any) -> nn.Module:
    """The small MLP with dropout and a largest norm, unless the settings say otherwise."""
    chosen = settings or {"dropout": 0.3, "input_dropout": 0.1, "max_norm": MAX_NORM}
    config = MlpModel.model_validate({"kind": "mlp", "width": 8, "depth": 2} | chosen)
    return build_model(
        config, input_shape=(NUM_FEATURES,), num_classes=NUM_CLASSES, seed=seed
    )  # fmt: skip


def run(*, order_seed: int = 0, **settings: Any) -> StudentRun:
    return finish(make_run(regularized_model(**settings), epochs=EPOCHS, order_seed=order_seed))


def test_dropout_follows_from_the_seed_of_the_run() -> None:
    torch.manual_seed(1)
    first = run(dropout=0.3)
    torch.manual_seed(2)
    torch.rand(3)
    again = run(dropout=0.3)
    assert again.history == first.history
    assert same_weights(again.kept_state, first.kept_state)
    assert run(dropout=0.3, order_seed=1).history != first.history
    assert run(dropout=0.4).history != first.history


def test_masks_change_from_step_to_step_and_from_epoch_to_epoch() -> None:
    model = regularized_model(dropout=0.5)
    masks: list[Tensor] = []
    readout = model.get_submodule("readout")
    assert isinstance(readout, nn.Linear)
    readout.register_forward_pre_hook(
        lambda layer, args: masks.append(args[0] == 0) if model.training else None
    )
    with torch.no_grad():
        model.get_parameter("hidden.1.bias").fill_(100.0)  # every unit is on, unless dropped
    finish(make_run(model, epochs=2, learning_rate=1e-6))
    assert len(masks) == 2 * num_batches(32)
    whole = [mask for mask in masks if len(mask) == 32]
    for mask in whole:
        assert 0.3 < float(mask.double().mean()) < 0.7
    different = {mask.numpy().tobytes() for mask in whole}
    assert len(different) == len(whole)


def test_zero_rates_and_a_norm_that_is_never_reached_train_the_plain_mlp() -> None:
    far = finish(make_run(regularized_model(max_norm=1e6), epochs=EPOCHS))
    plain = finish(make_run(make_model(), epochs=EPOCHS))
    assert far.history == plain.history
    assert same_weights(far.kept_state, plain.kept_state)


def norms_in_training(model: nn.Module, **training: Any) -> dict[str, list[Tensor]]:
    """Norms of the rows of each matrix, as each step finds them and at the end."""
    found: dict[str, list[Tensor]] = {n: [] for n in weights(model) if n.endswith("weight")}

    def note(*_: object) -> None:
        for name, norms in found.items():
            norms.append(model.get_parameter(name).detach().norm(dim=1).clone())

    model.register_forward_pre_hook(lambda *_: note() if model.training else None)
    finish(make_run(model, epochs=2, **training))
    note()
    return found


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_after_every_step_no_incoming_norm_is_above_the_largest(optimizer: str) -> None:
    rate = {"adam": 0.05, "sgd": 0.5}[optimizer]
    settings: dict[str, Any] = {"learning_rate": rate, "optimizer": optimizer}
    held = norms_in_training(regularized_model(max_norm=MAX_NORM), **settings)
    free = norms_in_training(make_model(), **settings)
    hidden = ("hidden.0.weight", "hidden.1.weight")
    for name in hidden:
        assert len(held[name]) == 2 * num_batches(32) + 1
        for norms in held[name][1:]:  # it begins as it was built
            assert float(norms.max()) <= MAX_NORM * (1 + 1e-6)
        assert float(torch.stack(held[name][1:]).min()) < MAX_NORM * 0.99, "short rows stay short"
        assert float(free[name][-1].max()) > MAX_NORM * 1.1, "else this shows nothing"
    assert float(held["readout.weight"][-1].max()) > MAX_NORM


def test_what_is_kept_and_what_is_measured_is_constrained_and_without_dropout() -> None:
    model = regularized_model(dropout=0.5, max_norm=MAX_NORM)
    whole = finish(make_run(model, epochs=EPOCHS, learning_rate=0.05))
    plain = make_model(seed=7)
    plain.load_state_dict(whole.kept_state)
    assert float(whole.kept_state["hidden.0.weight"].norm(dim=1).max()) <= MAX_NORM * 1.000001
    data = make_data()
    logits = predict_logits(plain, data.val_x)
    accuracy = float((logits.argmax(dim=1) == data.val_y).double().mean())
    assert whole.kept.val_accuracy == pytest.approx(accuracy)
    loss = nn.functional.cross_entropy(logits, data.val_y)
    assert whole.kept.val_loss == pytest.approx(float(loss))


class Clipped(nn.Sequential):
    """A user's own: wants its weights within bounds after each step."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(NUM_FEATURES, NUM_CLASSES))
        self.calls = 0
        self.outside = 0

    def forward(self, input: Tensor) -> Tensor:
        self.outside += int(self.get_parameter("0.weight").abs().max() > 0.25)
        return super().forward(input)

    @torch.no_grad()
    def constrain(self) -> None:
        self.calls += 1
        for value in self.parameters():
            value.clamp_(-0.25, 0.25)


def test_a_users_own_constrain_is_called_after_each_step() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Clipped()
    with torch.no_grad():
        model.get_parameter("0.weight").clamp_(-0.25, 0.25)
    finish(make_run(model, epochs=3, learning_rate=0.1))
    assert model.calls == 3 * num_batches(32)
    assert model.outside == 0, "no forward pass, in training or validation, saw other weights"
    assert float(weights(model)["0.weight"].abs().max()) == 0.25, "it was needed"


def test_an_attribute_that_cannot_be_called_is_no_constraint() -> None:
    model = make_model()
    model.constrain = torch.tensor(3.0)  # a name that a user may have taken for a number
    finish(make_run(model, epochs=1))
