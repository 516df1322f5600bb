from collections.abc import Callable
from pathlib import Path

import mlflow.pytorch
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from kdsearch.config import MlpModel
from kdsearch.models import build_model
from kdsearch.results import TrialRecord
from kdsearch.tracking import LoggableModel
from kdsearch.tracking.mlflow.models import ExportError, save_folder
from kdsearch.tracking.mlflow.sink import MlflowSink

pytestmark = pytest.mark.slow

MakeRecord = Callable[..., TrialRecord]
MakeModel = Callable[[int], LoggableModel]
OpenSink = Callable[..., MlflowSink]


def test_models_come_back_and_predict_the_same(
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    monkeypatch: pytest.MonkeyPatch,
    make_mlp: MakeModel,
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    models = {trial: make_mlp(seed=trial) for trial in (1, 2)}
    outputs = []
    for trial, model in models.items():
        sink.log_trial(make_record(trial=trial), model=model)
        assert sink.register_champion(make_record(trial=trial), tags={"n": "5"}) == str(trial)
        assert model.module.training
        loaded = mlflow.pytorch.load_model("models:/temp-alpha@champion")
        expected = model.module.eval()
        for rows in (1, 1000):
            inputs = torch.randn(rows, 4)
            assert torch.equal(loaded(inputs), expected(inputs))
        outputs.append(loaded(torch.ones(1, 4)))
    assert not torch.equal(*outputs)
    version = client.get_model_version_by_alias("temp-alpha", "champion")
    assert version.tags["n"] == "5"
    run = client.get_run(version.run_id)
    (output,) = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert logged.name == "temp-alpha-t002"
    assert {m.key: m.value for m in logged.metrics}["objective"] == 0.9
    assert logged.status.name == "READY"


def test_champion_twice_is_one_version(
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    open_sink: OpenSink,
    mlp: LoggableModel,
) -> None:
    sink.log_trial(make_record(), model=mlp)
    assert sink.register_champion(make_record(), tags={"accuracy": "0.9"}) == "1"
    later = open_sink()
    assert later.register_champion(make_record(), tags={"accuracy": "0.91"}) == "1"
    (version,) = client.search_model_versions("name = 'temp-alpha'")
    assert version.tags["accuracy"] == "0.91"
    assert later.register_champion(make_record(trial=99), tags={}) is None


def test_a_model_with_dropout_is_exported_as_it_measures(tmp_path: Path) -> None:
    """And with its weights it is no other model than one without."""
    shape = {"input_shape": (4,), "num_classes": 3}
    settings = {"dropout": 0.5, "input_dropout": 0.2, "max_norm": 0.3}
    config = MlpModel(kind="mlp", width=8, depth=2, **settings)
    plain = build_model(MlpModel(kind="mlp", width=8, depth=2), **shape, seed=0).eval()
    inputs = torch.randn(50, 4)
    for seed in (1, 2):  # the second gets its weights into the first one's graph
        module = build_model(config, **shape, seed=seed)
        assert module.training
        assert not torch.equal(module(inputs), module(inputs))
        plain.load_state_dict(module.state_dict())
        folder = tmp_path / str(seed)
        save_folder(LoggableModel(module, (4,), config.model_dump_json()), folder)
        loaded = mlflow.pytorch.load_model(str(folder))
        assert torch.equal(loaded(inputs), plain(inputs))
        assert torch.equal(loaded(inputs[:1]), plain(inputs[:1]))
        assert module.training


class Stateful(torch.nn.Module):
    """Traces well, and the trace computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.calls = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.linear(inputs) * self.calls


class FixedBatch(torch.nn.Module):
    """Works with the example's two rows only."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs) + torch.zeros(2, 1)


class Untraceable(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.sum() > 0:
            return self.linear(inputs)
        return -self.linear(inputs)


@pytest.mark.parametrize("kind", [Untraceable, Stateful, FixedBatch])
def test_unloadable_module_keeps_its_weights(
    kind: Callable[[], torch.nn.Module],
    capfd: pytest.CaptureFixture[str],
    sink: MlflowSink,
    client: MlflowClient,
    make_record: MakeRecord,
    tmp_path: Path,
) -> None:
    module = kind()
    run_id = sink.log_trial(make_record(), model=LoggableModel(module, (4,)))
    run = client.get_run(run_id)
    assert run.data.tags["kdsearch.model_unloadable"]
    assert run.outputs.model_outputs == []
    file = client.download_artifacts(run_id, "model/model.safetensors", str(tmp_path))
    assert torch.equal(load_file(file)["linear.weight"], module.state_dict()["linear.weight"])
    assert sink.register_champion(make_record(), tags={}) is None
    assert sink.log_trial(make_record(), model=LoggableModel(module, (4,))) == run_id
    assert capfd.readouterr() == ("", "")


class Doubling(torch.nn.Module):
    """Has the tensors of a linear layer, and computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * self.linear(inputs)


class Linear(Doubling):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.linear(inputs)


def test_models_of_one_architecture_share_a_graph_and_nothing_else(tmp_path: Path) -> None:
    modules = [Linear() for _ in range(3)]
    for place, module in enumerate(modules):
        save_folder(LoggableModel(module, (4,), "linear"), tmp_path / str(place))
    inputs = torch.randn(7, 4)
    for place, module in enumerate(modules):
        loaded = mlflow.pytorch.load_model(str(tmp_path / str(place)))
        assert torch.equal(loaded(inputs), module(inputs))
    with pytest.raises(ExportError, match="not close"):
        save_folder(LoggableModel(Doubling(), (4,), "linear"), tmp_path / "another")
