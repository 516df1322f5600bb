"""Members are trained once, addressed by content, and never change afterwards."""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdsearch.config import CnnModel, MlpModel, TeacherConfig
from kdsearch.config.seed import derive_seed
from kdsearch.data import Dataset
from kdsearch.distill import TeacherBank, cached_teachers, state_hash
from kdsearch.distill import bank as bank_module
from kdsearch.models import Classifier, Normalization, build_model, predict_logits
from kdsearch.results import TeacherRecord
from tests.distill.conftest import TEACHER, Fit, OpenBank, never_fit


@pytest.mark.slow
def test_trained_once(open_bank: OpenBank, tmp_path: Path) -> None:
    bank = open_bank()
    fit = Fit(TEACHER, 1, tmp_path / "cache")
    assert not bank.is_cached(1)
    first = bank.ensure(1, fit)
    assert bank.is_cached(1)
    again = bank.ensure(1, fit)
    other_study = open_bank().ensure(1, never_fit)
    assert fit.calls == 1
    assert state_hash(first.model) == state_hash(again.model) == state_hash(other_study.model)
    assert first.record == other_study.record
    assert first.record.key == bank.member_key(1)
    assert not bank.is_cached(2)


def test_training_teaches_the_member(trained_cache: Path, digits: Dataset) -> None:
    bank = TeacherBank(TEACHER, digits, trained_cache)
    teacher = bank.load(1)
    assert teacher.record.epochs == 2
    assert teacher.record.num_params == 64 * 16 + 16 + 16 * 10 + 10
    predicted = predict_logits(teacher.model, digits.val.x).argmax(dim=1)
    accuracy = float((predicted == digits.val.y).double().mean())
    assert accuracy > 0.5  # ten classes: chance is 0.1
    assert teacher.record.val.accuracy == pytest.approx(accuracy)


def test_training_is_the_same_in_another_cache(
    trained_cache: Path, digits: Dataset, open_bank: OpenBank, tmp_path: Path
) -> None:
    elsewhere = open_bank().ensure(1, Fit(TEACHER, 1, tmp_path / "cache"))
    here = TeacherBank(TEACHER, digits, trained_cache).load(1)
    assert state_hash(elsewhere.model) == state_hash(here.model)


def test_members_differ(trained_cache: Path, digits: Dataset) -> None:
    bank = TeacherBank(TEACHER, digits, trained_cache)
    first, second = bank.load(1), bank.load(2)
    assert state_hash(first.model) != state_hash(second.model)
    assert (first.record.member, second.record.member) == (1, 2)
    assert {r.key for r in cached_teachers(trained_cache)} == {
        bank.member_key(1), bank.member_key(2)
    }  # fmt: skip


def test_address_changes_with_what_decides_the_weights(
    open_bank: OpenBank, digits: Dataset, tmp_path: Path
) -> None:
    keys = [
        open_bank().member_key(1),
        open_bank().member_key(2),
        open_bank(seed=1).member_key(1),
        open_bank(model=MlpModel(kind="mlp", width=17, depth=1)).member_key(1),
        open_bank(model=MlpModel(kind="mlp", width=16, depth=2)).member_key(1),
        *(
            open_bank(training=TEACHER.training.model_copy(update=change)).member_key(1)
            for change in (
                {"epochs": 3}, {"learning_rate": 1e-3}, {"batch_size": 32}, {"patience": 1},
                {"optimizer": "sgd"}, {"weight_decay": 0.1}, {"schedule": "constant"},
                {"warmup_epochs": 1}, {"lr_scaling": "mup"},
            )
        ),
        TeacherBank(
            TEACHER, dataclasses.replace(digits, fingerprint="0" * 64), tmp_path
        ).member_key(1),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def address_of_version_0_1(bank: TeacherBank, config: TeacherConfig, data: Dataset) -> str:
    """Member 1's, by the formula before sections had later fields."""
    seed = derive_seed("teacher", config.seed, 1)
    body = build_model(
        config.model, input_shape=data.input_shape, num_classes=data.num_classes, seed=seed
    )
    model = Classifier(Normalization(data.mean, data.std), body)
    identity = {
        "data": data.fingerprint,
        "model": config.model.model_dump(
            mode="json", exclude={"dropout", "input_dropout", "max_norm"}
        ),
        "initial": state_hash(model),
        "architecture": repr(model),
        "training": config.training.model_dump(mode="json", exclude={"device", "engine", "keep"}),
        "recipe": bank_module.RECIPE_VERSIONS[config.model.kind],
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:40]


@pytest.mark.parametrize(
    "model",
    [
        MlpModel(kind="mlp", width=16, depth=1),
        MlpModel(kind="mlp", width=16, depth=1, dropout=0.0, input_dropout=0.0, max_norm=None),
        CnnModel(kind="cnn", width=4, depth=1),
    ],
)
def test_fields_that_came_later_leave_the_address_as_it_was(
    open_bank: OpenBank, digits: Dataset, model: MlpModel | CnnModel
) -> None:
    bank = open_bank(model=model)
    config = TEACHER.model_copy(update={"model": model})
    assert bank.member_key(1) == address_of_version_0_1(bank, config, digits)
    said = TEACHER.training.model_copy(update={"keep": "best"})
    assert open_bank(model=model, training=said).member_key(1) == bank.member_key(1)


def test_address_changes_with_a_later_field_that_is_set(open_bank: OpenBank) -> None:
    settings: list[dict[str, Any]] = [
        {},
        {"dropout": 0.5},
        {"dropout": 0.4},
        {"input_dropout": 0.5},
        {"max_norm": 0.5},
        {"max_norm": 0.4},
    ]
    models = [MlpModel(kind="mlp", width=16, depth=1, **changes) for changes in settings]
    keys = [open_bank(model=model).member_key(1) for model in models]
    last = TEACHER.training.model_copy(update={"keep": "last"})
    keys.append(open_bank(training=last).member_key(1))
    assert len(set(keys)) == len(keys)


def test_address_changes_with_the_recipe(
    open_bank: OpenBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_bank().member_key(1)
    recipes = bank_module.RECIPE_VERSIONS
    kind = TEACHER.model.kind
    monkeypatch.setitem(recipes, kind, recipes[kind] + 1)
    assert open_bank().member_key(1) != before


def test_address_ignores_what_does_not_decide_the_weights(open_bank: OpenBank) -> None:
    key = open_bank().member_key(2)
    assert open_bank(members=7).member_key(2) == key
    assert open_bank(ensemble_mode="prob_mean").member_key(2) == key
    for device in ("auto", "cuda"):
        training = TEACHER.training.model_copy(update={"device": device})
        assert open_bank(training=training).member_key(2) == key
    assert open_bank().key != open_bank(members=3).key  # but the bank as a whole is another


def test_address_is_the_same_wherever_it_is_asked(open_bank: OpenBank) -> None:
    torch.manual_seed(123)
    key = open_bank().member_key(1)
    torch.rand(5)
    assert open_bank().member_key(1) == key


def test_in_eval_mode_and_without_gradient(trained_cache: Path, digits: Dataset) -> None:
    bank = TeacherBank(TEACHER, digits, trained_cache)
    for member in bank.members:
        model = bank.load(member).model
        assert isinstance(model, Classifier)  # normalises raw samples itself
        assert not any(module.training for module in model.modules())
        assert not any(p.requires_grad for p in model.parameters())


def test_batch_norm_teacher_survives_being_saved_and_asked(
    digits: Dataset, tmp_path: Path
) -> None:
    config = TEACHER.model_copy(
        update={
            "model": CnnModel(kind="cnn", width=4, depth=1),
            "members": 1,
            "training": TEACHER.training.model_copy(update={"epochs": 1}),
        }
    )
    bank = TeacherBank(config, digits, tmp_path)
    trained: list[str] = []

    class Spy(Fit):
        def __call__(self, model: nn.Module, folder: Path) -> TeacherRecord:
            record = super().__call__(model, folder)
            trained.append(state_hash(model))
            return record

    teacher = bank.ensure(1, Spy(config, 1, tmp_path))
    batches = teacher.model.state_dict()["body.features.1.num_batches_tracked"]
    assert int(batches) == math.ceil(len(digits.train) / config.training.batch_size)
    assert [state_hash(teacher.model)] == trained
    bank.logits(digits.train)
    assert state_hash(bank.load(1).model) == trained[0]


def test_a_failed_fit_leaves_nothing_that_looks_trained(
    open_bank: OpenBank, tmp_path: Path
) -> None:
    bank = open_bank()

    def fail(model: nn.Module, folder: Path) -> TeacherRecord:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        bank.ensure(1, fail)
    assert not bank.is_cached(1)
    assert bank.ensure(1, Fit(TEACHER, 1, tmp_path / "cache")).record.member == 1


def test_fit_gets_a_fresh_member_that_reads_raw_samples(
    open_bank: OpenBank, digits: Dataset, tmp_path: Path
) -> None:
    fresh: list[str] = []

    class Spy(Fit):
        def __call__(self, model: nn.Module, folder: Path) -> TeacherRecord:
            assert isinstance(model, Classifier)
            torch.testing.assert_close(model.normalization.mean, digits.mean)
            torch.testing.assert_close(model.normalization.std, digits.std)
            fresh.append(state_hash(model))
            return super().__call__(model, folder)

    teacher = open_bank().ensure(1, Spy(TEACHER, 1, tmp_path / "cache"))
    assert len(fresh) == 1
    assert fresh[0] != state_hash(teacher.model)
