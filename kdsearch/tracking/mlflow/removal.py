"""Taking a study out of MLflow: its runs, its models, and the experiment that was only its own."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from kdsearch.tracking.mlflow import database, labels, models
from kdsearch.tracking.mlflow.failures import unavailable

_PAGE = 1000
_DEFAULT_EXPERIMENT = "0"  # which MLflow itself makes, and needs
_WHAT_NOW = (
    "the study stays in its storage, where its runs are known by name, so that the same command "
    "removes the rest when it is back"
)


@dataclass(frozen=True)
class RemovedFromMlflow:
    """What was taken out; a second time nothing."""

    runs: int
    versions: int
    """Of the registered model."""
    experiments: tuple[str, ...]
    """Names of those that had nobody else's runs."""


def remove_study(name: str, *, study_id: str) -> RemovedFromMlflow:
    """Delete everything that a study has written to MLflow.

    MLflow keeps what is deleted until `mlflow gc`. A deleted experiment is renamed before, so that
    a later study may have its name.

    Args:
        name: Of the study.
        study_id: Tells it from other studies of that name, which are left alone.

    Raises:
        UserInputError: The tracking URI cannot work.
        TrackingUnavailableError: MLflow does not answer; calling again goes on.
    """
    uri = database.resolve_tracking_uri()
    path = database.sqlite_path(uri)
    if path is not None and not _is_there(path):
        return RemovedFromMlflow(0, 0, ())
    with unavailable(uri, what_now=_WHAT_NOW):
        client = database.connect(uri)
        own = _runs_of(client, study_id)
        run_ids = {run.info.run_id for run in own}
        used = sorted({run.info.experiment_id for run in own})
        versions = _remove_versions(client, name, run_ids)
        for experiment_id in used:
            models.delete_models_of(client, experiment_id, run_ids)
        # The study's own run goes last: while it is there, an interrupted removal finds the rest.
        key = labels.study_key(study_id)
        parents = {run.info.run_id for run in own if run.data.tags[labels.KEY] == key}
        for run_id in run_ids - parents:
            client.delete_run(run_id)
        experiments = tuple(
            name for e in used if (name := _remove_experiment(client, e, parents, study_id))
        )
        database.checkpoint(uri)
    return RemovedFromMlflow(len(own), versions, experiments)


def _is_there(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _runs_of(client: MlflowClient, study_id: str) -> list[Run]:
    """The runs of the study, wherever they are: `tracking.experiment` may have changed."""
    experiments = _all_experiments(client)
    wanted = f"tags.`{labels.KEY}` LIKE '{study_id}/%'"
    found: list[Run] = []
    token: str | None = None
    while experiments:
        page = client.search_runs(experiments, wanted, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            break
    return found


def _all_experiments(client: MlflowClient) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=_PAGE, page_token=token)
        found += [experiment.experiment_id for experiment in page]
        token = page.token
        if not token:
            return found


def _remove_experiment(
    client: MlflowClient, experiment_id: str, parents: set[str], study_id: str
) -> str | None:
    """Delete the study's own run, with the experiment if it is all that is there: its name."""
    left = client.search_runs([experiment_id], max_results=len(parents) + 1)
    if {run.info.run_id for run in left} <= parents and experiment_id != _DEFAULT_EXPERIMENT:
        name = str(client.get_experiment(experiment_id).name)
        client.rename_experiment(experiment_id, f"{name} (deleted, {study_id})")
        client.delete_experiment(experiment_id)
        return name
    for run_id in parents:
        if client.get_run(run_id).info.experiment_id == experiment_id:
            client.delete_run(run_id)
    return None


def _remove_versions(client: MlflowClient, name: str, run_ids: Collection[str]) -> int:
    """Delete a study's versions of its registered model, and the model with the last of them.

    Args:
        client: Of the registry.
        name: Of the study; another storage's study of that name may have versions, too.
        run_ids: The study's runs.

    Returns:
        How many versions were deleted.
    """
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    own = [version.version for version in found if version.run_id in run_ids]
    if own and len(own) == len(found):
        client.delete_registered_model(name)
        return len(own)
    for version in own:
        client.delete_model_version(name, version)
    return len(own)
