"""A study of token ids with a user's own embedding model, from the file to the logged model."""

import sys
import textwrap
from pathlib import Path

import mlflow
import numpy as np
import pytest

import kdsearch
from tests.conftest import WriteStudy

pytestmark = pytest.mark.slow

SOURCE = '''
import torch
from torch import nn


class Reader(nn.Module):
    """Mean of learned vectors, one a token."""

    def __init__(self, vocabulary, width, num_classes):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.readout = nn.Linear(width, num_classes)

    def forward(self, tokens):
        assert tokens.dtype == torch.int64
        return self.readout(self.embed(tokens).mean(dim=1))


def reader(input_shape, num_classes, width, vocabulary=30):
    return Reader(vocabulary, width, num_classes)
'''


def made() -> tuple[np.ndarray, np.ndarray]:
    """Sentences of 6 tokens out of 30: each class prefers ten of them."""
    rng = np.random.default_rng(0)
    y = np.arange(450) % 3
    preferred = rng.integers(0, 10, (450, 6)) + 10 * y[:, None]
    return np.where(rng.random((450, 6)) < 0.7, preferred, rng.integers(0, 30, (450, 6))), y


@pytest.mark.parametrize("engine", ["reference", "population"])
def test_token_ids_reach_a_users_embedding(
    write_study: WriteStudy, folder: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "token_models", raising=False)
    x, y = made()
    np.savez("tokens.npz", x=x, y=y)
    Path("token_models.py").write_text(textwrap.dedent(SOURCE))
    model = {"kind": "import", "target": "token_models:reader"}
    path = write_study(
        name=f"tokens-{engine}",
        data={"kind": "npz", "path": "tokens.npz"},
        teacher={"model": model | {"width": 16}, "training": {"epochs": 8, "learning_rate": 0.05}},
        student=model,
        training={"epochs": 8, "batch_size": 32, "learning_rate": 0.05, "engine": engine},
        search={
            "temperature": {"role": "nuisance", "values": [1.0, 4.0]},
            "width": {"role": "fixed", "value": 4},
        },
        sampler={"kind": "random"},
        budget={"trials": 4, "generation": 4},
        confirm={"replicates": 1, "candidates": 1, "baseline": False},
        tracking={"models": "confirmed"},
    )
    results = kdsearch.run_study(kdsearch.load_study(path), workers=0).results
    assert results.num_classes == 3
    (confirmed,) = results.select(stage="confirm", state="COMPLETE")
    assert confirmed.test.accuracy > 0.75
    run = mlflow.MlflowClient().get_run(confirmed.mlflow_run_id)
    uri = f"models:/{run.data.tags['kdsearch.model_id']}"
    inputs = mlflow.models.get_model_info(uri).signature.inputs.inputs
    assert [one.type for one in inputs] == [np.dtype("int64")]
    logits = mlflow.pyfunc.load_model(uri).predict(x)
    assert (logits.argmax(axis=1) == y).mean() > 0.75
