"""On a CUDA device: replayed steps are the reference loop's on the CPU, whatever the view."""

import pytest
import torch

from kdsearch.config import KdDistillation, MlpModel
from kdsearch.models import build_model
from kdsearch.models.mlp import Mlp
from kdsearch.training import MlpPopulation, PopulationStudent, Progress, TrainingData
from tests.training.problem import (
    NUM_CLASSES,
    NUM_FEATURES,
    finish,
    make_data,
    make_run,
    training_config,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

WIDTHS, ORDERS = (4, 4, 9, 6), (0, 0, 0, 1)
BATCH_SIZE = 16
"""Nine full batches an epoch: three warm up, one is recorded, five are replayed; one is short."""


def build(row: int) -> Mlp:
    model = build_model(
        MlpModel(kind="mlp", width=WIDTHS[row], depth=2),
        input_shape=(NUM_FEATURES,),
        num_classes=NUM_CLASSES,
        seed=row,
    )
    assert isinstance(model, Mlp)
    return model


class Scaled(TrainingData):
    """Other samples in each epoch."""

    def at_epoch(self, epoch: int) -> TrainingData:
        return TrainingData(*self)._replace(train_x=self.train_x * (1 + epoch / 10))


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("scaling", ["none", "mup"])
@pytest.mark.parametrize("changes", [False, True])
def test_a_population_on_cuda_is_the_reference_loop(
    optimizer: str, scaling: str, changes: bool
) -> None:
    data = Scaled(*make_data()) if changes else make_data()
    options = {
        "optimizer": optimizer,
        "lr_scaling": scaling,
        "mup_base_width": 8,
        "batch_size": BATCH_SIZE,
        "learning_rate": 1e-3,
        "warmup_epochs": 1,
    }
    config = training_config(**options)
    teach = [KdDistillation(temperature=2.0 + row, alpha=row / 3) for row in range(4)]
    moved = data.to(torch.device("cuda"))
    members = [
        PopulationStudent(build(row), config, teach[row], Progress(config), ORDERS[row])
        for row in range(4)
    ]
    together = MlpPopulation(members, type(data)(*moved))
    for _ in together.epochs(until=config.epochs):
        pass
    for row, member in enumerate(members):
        alone = finish(
            make_run(
                build(row),
                data,
                distillation=teach[row],
                order_seed=ORDERS[row],
                width=WIDTHS[row],
                **options,
            )
        )
        for mine, its in zip(member.progress.history, alone.history, strict=True):
            assert mine.train_loss == pytest.approx(its.train_loss, abs=1e-4)
            assert mine.val_loss == pytest.approx(its.val_loss, abs=1e-4)
