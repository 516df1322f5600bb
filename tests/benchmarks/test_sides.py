"""All sides of a comparison train the same students to the same losses."""

from functools import partial

import pytest
import torch

from benchmarks.engines import train_population, train_reference
from benchmarks.loops import train_guide, train_plain
from benchmarks.problem import (
    BATCH,
    cnn,
    flops_per_sample,
    load_data,
    mlp,
    only,
    random_teachers,
    save_data,
    specs,
    with_logits,
)
from kdsearch.config import CnnModel, MlpModel
from kdsearch.training import TrainingData


@pytest.fixture(scope="module")
def data() -> TrainingData:
    draw = torch.Generator().manual_seed(0)
    noise = TrainingData(
        train_x=torch.randn(3 * BATCH, 1, 28, 28, generator=draw),
        train_y=torch.randint(0, 10, (3 * BATCH,), generator=draw),
        val_x=torch.randn(64, 1, 28, 28, generator=draw),
        val_y=torch.randint(0, 10, (64,), generator=draw),
        teacher_train=None,
        teacher_val=None,
    )
    return with_logits(noise, random_teachers(2)).data


@pytest.mark.slow
@pytest.mark.parametrize("student", [mlp(4), cnn(2)])
def test_sides_agree(data: TrainingData, student: MlpModel | CnnModel) -> None:
    chosen = specs([student, student, student])
    teachers = random_teachers(2)
    sides = {
        "guide": train_guide,
        "plain": train_plain,
        "fused": partial(train_plain, fused_adam=True),
        "population": train_population,
    }
    known = train_reference(chosen, data, teachers, epochs=2)
    for name, train in sides.items():
        found = train(chosen, data, teachers, epochs=2)
        for losses, expected in zip(found.losses, known.losses, strict=True):
            assert losses == pytest.approx(expected, rel=1e-5), name
        for accuracies, expected in zip(found.accuracies, known.accuracies, strict=True):
            assert accuracies == pytest.approx(expected, abs=0.05), name
        assert found.train_seconds > 0


def test_fewer_teachers_are_the_first(data: TrainingData) -> None:
    assert data.teacher_train is not None
    part = only(data, num_teachers=1, num_batches=2)
    assert part.teacher_train is not None
    assert part.train_x.shape == (2 * BATCH, 1, 28, 28)
    assert torch.equal(part.teacher_train, data.teacher_train[:1, : 2 * BATCH])


def test_data_travel_in_a_file(
    data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("data") / "data.pt"
    save_data(data, path)
    loaded = load_data(path)
    assert loaded.teacher_train is not None
    assert data.teacher_train is not None
    assert torch.equal(loaded.teacher_train, data.teacher_train)
    assert torch.equal(loaded.val_y, data.val_y)


def test_flops_are_those_of_the_products() -> None:
    (spec,) = specs([mlp(64)])
    train, forward = flops_per_sample(spec)
    first, rest = 784 * 64, 64 * 64 + 64 * 10
    assert forward == 2 * (first + rest)
    assert train == 4 * first + 6 * rest
