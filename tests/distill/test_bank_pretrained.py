"""A teacher that comes trained from the user's own code is used as it is, on raw inputs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdsearch.config import ImportModel
from kdsearch.data import Dataset
from kdsearch.distill import TeacherBank, state_hash
from kdsearch.models import Classifier, Normalization
from tests.distill.conftest import TEACHER, Fit, OpenBank

MODULE = '''
import torch
from torch import nn

class Centroids(nn.Module):
    """Nearest class mean of raw pixels, a teacher that needs no gradient step."""

    def __init__(self, means, sharpness):
        super().__init__()
        self.register_buffer("means", means)
        self.sharpness = sharpness

    def forward(self, x):
        return -self.sharpness * torch.cdist(x.flatten(1), self.means)

def centroids(input_shape, num_classes, width, sharpness=1.0):
    return Centroids(torch.load("means.pt", weights_only=True), sharpness)

def linear(input_shape, num_classes, width):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64, num_classes))
    with torch.no_grad():
        model[2].weight.copy_(torch.load("means.pt", weights_only=True))
        model[2].bias.copy_(-0.5 * model[2].weight.square().sum(dim=1))
    return model
'''


@pytest.fixture
def means(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Class means of the raw training digits; the module that reads them is importable."""
    x, y = digits.train.x.flatten(1), digits.train.y
    means = torch.stack([x[y == label].mean(dim=0) for label in range(10)])
    torch.save(means, tmp_path / "means.pt")
    (tmp_path / "pretrained_digits.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return means


def config(name: str, **options: float) -> ImportModel:
    return ImportModel(
        kind="import", target=f"pretrained_digits:{name}", options=options, pretrained=True
    )


@pytest.mark.parametrize("name", ["centroids", "linear"])
def test_used_as_it_is_on_raw_inputs(
    name: str, means: Tensor, digits: Dataset, open_bank: OpenBank, tmp_path: Path
) -> None:
    model = config(name)
    teacher_config = TEACHER.model_copy(update={"model": model, "members": 1})
    bank = open_bank(model=model, members=1)
    assert bank.is_pretrained
    teacher = bank.ensure(1, Fit(teacher_config, 1, tmp_path / "cache"))
    assert not isinstance(teacher.model, Classifier | Normalization)
    assert not any(module.training for module in teacher.model.modules())
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert teacher.record.epochs == 0
    x = digits.val.x.flatten(1)
    nearest = torch.cdist(x, means).argmin(dim=1)
    by_hand = float((nearest == digits.val.y).double().mean())
    assert by_hand > 0.8  # would be about 0.1 on normalised inputs or fresh weights
    assert teacher.record.val.accuracy == pytest.approx(by_hand)
    logits = bank.member_logits(digits.val, digits.val.ids)[0]
    assert torch.equal(logits.argmax(dim=1), nearest)


def test_no_weights_are_stored(means: Tensor, open_bank: OpenBank, tmp_path: Path) -> None:
    bank = open_bank(model=config("linear"), members=1)
    fit = Fit(TEACHER.model_copy(update={"model": config("linear")}), 1, tmp_path / "cache")
    bank.ensure(1, fit)
    bank.ensure(1, fit)
    assert fit.calls == 1  # measured once
    assert not list((tmp_path / "cache" / "teachers").rglob("*.safetensors"))


def test_new_weights_are_a_new_teacher(
    means: Tensor, digits: Dataset, open_bank: OpenBank, tmp_path: Path
) -> None:
    fit = Fit(TEACHER.model_copy(update={"model": config("linear")}), 1, tmp_path / "cache")
    old = open_bank(model=config("linear"), members=1)
    old.ensure(1, fit)
    before = old.logits(digits.val)[0]
    torch.save(means.flip(0).contiguous(), tmp_path / "means.pt")
    new = open_bank(model=config("linear"), members=1)
    assert new.member_key(1) != old.member_key(1)
    assert not new.is_cached(1)
    new.ensure(1, fit)
    found = new.logits(digits.val)[0].logits
    torch.testing.assert_close(found, before.logits.flip(1), rtol=1e-5, atol=1e-2)


def test_training_does_not_address_a_pretrained_teacher(
    means: Tensor, open_bank: OpenBank
) -> None:
    key = open_bank(model=config("linear")).member_key(1)
    assert open_bank(model=config("linear")).member_key(2) != key  # equal weights, another seed
    training = TEACHER.training.model_copy(update={"epochs": 99})
    assert open_bank(model=config("linear"), training=training).member_key(1) == key


def test_options_that_change_no_weight_still_make_another_teacher(
    means: Tensor, digits: Dataset, open_bank: OpenBank, tmp_path: Path
) -> None:
    """Same weights, same repr, other logits: neither teacher nor logits may be confused."""
    found: list[Tensor] = []
    banks: list[TeacherBank] = []
    for sharpness in (1.0, 3.0):
        model = config("centroids", sharpness=sharpness)
        bank = open_bank(model=model, members=1)
        bank.ensure(1, Fit(TEACHER.model_copy(update={"model": model}), 1, tmp_path / "cache"))
        found.append(bank.logits(digits.val)[0].logits)
        banks.append(bank)
    assert banks[0].member_key(1) != banks[1].member_key(1)
    torch.testing.assert_close(found[1], 3 * found[0])


def test_weights_unchanged_by_a_whole_use(
    means: Tensor, digits: Dataset, open_bank: OpenBank, tmp_path: Path
) -> None:
    bank = open_bank(model=config("linear"), members=1)
    fit = Fit(TEACHER.model_copy(update={"model": config("linear")}), 1, tmp_path / "cache")
    model: nn.Module = bank.ensure(1, fit).model
    before = state_hash(model)
    bank.logits(digits.train)
    assert state_hash(model) == state_hash(bank.load(1).model) == before
