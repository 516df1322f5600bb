"""Trained models in MLflow's own format: no pickle, loadable without kdsearch, verified."""

import copy
import importlib
import io
import logging
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Collection, Generator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from safetensors.torch import save_file

from kdsearch.tracking.mlflow.labels import MODEL
from kdsearch.tracking.sink import LoggableModel

with warnings.catch_warnings():
    # MLflow 3.17 warns of its own type hints while it imports this, which it does when it saves.
    warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
    importlib.import_module("mlflow.pyfunc")

WHY_NOT_LOADABLE = "kdsearch.model_unloadable"
# What torch.export raises for a module that it cannot trace, and what the module itself may raise.
_EXPORT_ERRORS = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)
_EXAMPLE_ROWS = 2  # torch.export takes a batch of 1 for a constant.


class ExportError(Exception):
    """torch.export cannot trace the module, or the trace computes something else."""


@dataclass(frozen=True)
class ModelLabel:
    """How MLflow shows a model."""

    name: str
    params: dict[str, str]
    tags: dict[str, str]
    step: int
    """The epoch whose metrics are the model's."""


def log_model(
    client: MlflowClient, experiment_id: str, run_id: str, model: LoggableModel, label: ModelLabel
) -> dict[str, str]:
    """Log `model` as an output of a run.

    Returns:
        Tags for the run: the model's id as `kdsearch.model_id`; or, for a module that
        torch.export cannot trace, why `mlflow.pytorch` cannot load it. Its weights are then the
        run's artifact `model/model.safetensors`.
    """
    with tempfile.TemporaryDirectory(prefix="kdsearch-model-") as folder:
        exported = Path(folder, "model")
        try:
            description = save_folder(model, exported)
        except ExportError as error:
            weights = Path(folder, "model.safetensors")
            # Clones, because safetensors refuses weights that share memory.
            state = {k: v.detach().cpu().clone() for k, v in model.module.state_dict().items()}
            save_file(state, weights)
            client.log_artifact(run_id, str(weights), "model")
            return {WHY_NOT_LOADABLE: str(error)[:500]}
        return {MODEL: _upload(client, experiment_id, run_id, label, exported, description)}


def _upload(
    client: MlflowClient,
    experiment_id: str,
    run_id: str,
    label: ModelLabel,
    folder: Path,
    description: Model,
) -> str:
    logged = client.create_logged_model(
        experiment_id,
        name=label.name,
        source_run_id=run_id,
        params=label.params,
        tags=label.tags,
        model_type="classifier",
    )
    description.model_id = description.model_uuid = logged.model_id
    description.utc_time_created = str(datetime.now(UTC).replace(tzinfo=None))
    description.run_id = run_id
    description.artifact_path = logged.artifact_location
    description.save(str(folder / "MLmodel"))
    client.log_model_artifacts(logged.model_id, str(folder))
    # In this order: after a kill, `adopt_model` can rely on READY meaning whole.
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, label.step)])
    return logged.model_id


def save_folder(model: LoggableModel, folder: Path) -> Model:
    """Write a model, in eval mode and for any batch size, as what `mlflow.pytorch` loads.

    The format is `pt2` (torch.export): a graph and tensors, nothing that loading could execute.
    Models of one architecture are traced once, which is most of the work; the others get their
    tensors into the same graph.

    Returns:
        The description that is in the folder.

    Raises:
        ExportError: The module cannot be traced, or its trace does not give its outputs.
    """
    try:
        module = copy.deepcopy(model.module).cpu().eval()
        key = (model.architecture, model.input_shape, model.input_dtype)
        trace = _traces.get(key) if model.architecture is not None else None
        if trace is None:
            trace = _trace(module, model.input_shape, np.dtype(model.input_dtype))
            if model.architecture is not None:
                _remember(key, trace)
        return trace.write(module, folder)
    except _EXPORT_ERRORS as error:
        lines = str(error).strip().splitlines()
        raise ExportError(f"{type(error).__name__}: {lines[0] if lines else ''}") from error


class Trace:
    """The graph of one architecture, and the files that MLflow puts beside it."""

    def __init__(
        self,
        files: dict[str, bytes],
        program: torch.export.ExportedProgram,
        input_shape: tuple[int, ...],
        input_dtype: np.dtype,
    ) -> None:
        self._files = files
        self._input_shape, self._input_dtype = input_shape, input_dtype
        self._program = program
        self._runner = program.module()  # shares the program's tensors

    def write(self, module: torch.nn.Module, folder: Path) -> Model:
        """Write `module` with its own tensors, after comparing its outputs with the graph's."""
        state = module.state_dict()
        with torch.no_grad():
            for name, tensor in self._program.state_dict.items():
                tensor.copy_(state[name])
            self._compare(module)
        for name, content in self._files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        graph = folder / GRAPH
        graph.parent.mkdir(exist_ok=True)
        torch.export.save(self._program, graph)
        return Model.load(str(folder / "MLmodel"))

    def _compare(self, module: torch.nn.Module) -> None:
        """A trace silently freezes a branch or a batch size."""
        generator = torch.Generator().manual_seed(0)
        for rows in (1, 5):
            inputs = torch.randn(rows, *self._input_shape, generator=generator)
            if self._input_dtype.kind != "f":
                # Which whole numbers a model reads nobody knows here; 0 is the first token.
                inputs = torch.zeros(inputs.shape, dtype=torch.int64)
            torch.testing.assert_close(
                self._runner(inputs), module(inputs), rtol=1e-4, atol=1e-5, equal_nan=True
            )


GRAPH = "data/model.pt2"
MAX_TRACES = 64
_traces: OrderedDict[tuple[str | None, tuple[int, ...], str], Trace] = OrderedDict()


def _remember(key: tuple[str | None, tuple[int, ...], str], trace: Trace) -> None:
    _traces[key] = trace
    if len(_traces) > MAX_TRACES:
        _traces.popitem(last=False)


def _trace(module: torch.nn.Module, input_shape: tuple[int, ...], input_dtype: np.dtype) -> Trace:
    """Let MLflow trace a module and describe it; the graph is the one read from the file."""
    example = np.zeros((_EXAMPLE_ROWS, *input_shape), dtype=input_dtype)
    with torch.no_grad():
        outputs = module(torch.from_numpy(example))
    with tempfile.TemporaryDirectory(prefix="kdsearch-trace-") as parent:
        folder = Path(parent, "model")
        with _quiet_export():
            mlflow.pytorch.save_model(
                module,
                str(folder),
                signature=_signature(input_shape, input_dtype, outputs),
                input_example=example,
                # Given, or MLflow takes 8 s in a subprocess to find them out.
                pip_requirements=_requirements(),
                serialization_format="pt2",
            )
        program = torch.export.load(folder / GRAPH)
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path != folder / GRAPH
        }
    return Trace(files, program, input_shape, input_dtype)


@contextmanager
def _quiet_export() -> Generator[None]:
    # A failed torch.export prints its graph to stderr, besides the exception that we handle.
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _signature(
    input_shape: tuple[int, ...], input_dtype: np.dtype, outputs: torch.Tensor
) -> ModelSignature:
    return ModelSignature(
        inputs=Schema([TensorSpec(input_dtype, (-1, *input_shape))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, *outputs.shape[1:]))]),
    )


def _requirements() -> list[str]:
    # Without the local version: `2.13.0+cpu` is on no package index.
    torch_version = str(torch.__version__).partition("+")[0]
    return [f"mlflow=={mlflow.__version__}", f"torch=={torch_version}", f"numpy=={np.__version__}"]


def adopt_model(client: MlflowClient, run: Run) -> str | None:
    """Finish what a killed attempt to log the model of `run` began.

    Returns:
        Id of the model that was uploaded whole; None if there is none. Others are deleted.
    """
    adopted: str | None = None
    outputs = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    for model in _models_of(client, run.info.experiment_id, run.info.run_id):
        if adopted is None and model.status == LoggedModelStatus.READY:
            adopted = model.model_id
            if adopted not in outputs:
                client.log_outputs(run.info.run_id, [LoggedModelOutput(adopted, 0)])
        else:
            client.delete_logged_model(model.model_id)
    return adopted


def delete_models(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    """Delete what was logged for a run; deleting the run leaves it behind."""
    for model in _models_of(client, experiment_id, run_id):
        client.delete_logged_model(model.model_id)


def delete_models_of(client: MlflowClient, experiment_id: str, run_ids: Collection[str]) -> None:
    """Delete what was logged for any of some runs of an experiment."""
    token: str | None = None
    found: list[LoggedModel] = []
    while True:
        page = client.search_logged_models([experiment_id], page_token=token)
        found += [model for model in page if model.source_run_id in run_ids]
        token = page.token
        if not token:
            break
    for model in found:
        client.delete_logged_model(model.model_id)


def _models_of(client: MlflowClient, experiment_id: str, run_id: str) -> list[LoggedModel]:
    return list(client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"))
