"""The architectures that the contract suite holds to the same promises, and a user's own."""

from kdsearch.config import CnnModel, Conv1dModel, ImportModel, MlpModel
from kdsearch.testing import ModelCase

IMPORTED = """
import math
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes, width, dropout=0.0):
        super().__init__()
        self.first = nn.Linear(math.prod(input_shape), width)
        self.drop = nn.Dropout(dropout)
        self.readout = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.readout(self.drop(torch.tanh(self.first(x.flatten(1)))))
"""


def imported(target: str = "contract_net:Net", **settings: object) -> ImportModel:
    return ImportModel.model_validate({"kind": "import", "target": target, **settings})


CASES = [
    ModelCase(MlpModel(kind="mlp", width=8, depth=1), (1, 8, 8)),
    ModelCase(MlpModel(kind="mlp", width=12, depth=3), (40,)),
    ModelCase(MlpModel(kind="mlp", width=16, depth=2, dropout=0.5, max_norm=3.0), (40,)),
    ModelCase(Conv1dModel(kind="conv1d", width=6, depth=1), (40,)),
    ModelCase(Conv1dModel(kind="conv1d", width=8, depth=3), (1, 40)),
    ModelCase(Conv1dModel(kind="conv1d", width=5, depth=2), (3, 17)),
    ModelCase(CnnModel(kind="cnn", width=4, depth=1), (8, 8)),
    ModelCase(CnnModel(kind="cnn", width=4, depth=2), (1, 28, 28)),
    ModelCase(CnnModel(kind="cnn", width=3, depth=3), (3, 9, 14)),
    ModelCase(imported(width=16, options={"dropout": 0.5}), (1, 40)),
]


def name_of(case: object) -> str:
    if not isinstance(case, ModelCase):
        return str(case)
    shape = "x".join(map(str, case.input_shape))
    return f"{case.config.kind}-{case.config.width}-{shape}"
