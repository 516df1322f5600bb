"""The MLflow experiment that a study writes to."""

import hashlib
import re
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from kdsearch.errors import UserInputError
from kdsearch.tracking.mlflow.database import sqlite_path


def find_or_create(client: MlflowClient, name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserInputError: It was deleted, or only a server can store its models.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = _artifact_location(client.tracking_uri, name)
        try:
            return client.get_experiment(client.create_experiment(name, location))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        experiment = client.get_experiment_by_name(name)  # Another study was quicker.
        assert experiment is not None
    if experiment.lifecycle_stage != "active":
        raise UserInputError(
            f"the MLflow experiment '{name}' is deleted; bring it back with `mlflow experiments "
            f"restore -x {experiment.experiment_id}` or set another `tracking.experiment`"
        )
    if sqlite_path(client.tracking_uri) and experiment.artifact_location.startswith("mlflow-art"):
        raise UserInputError(
            f"the MLflow experiment '{name}' was made by a server and keeps its files there; set "
            "MLFLOW_TRACKING_URI to that server or set another `tracking.experiment`"
        )
    return experiment


def _artifact_location(tracking_uri: str, name: str) -> str | None:
    """Next to a SQLite database, in absolute terms; anyone else decides for themselves."""
    database = sqlite_path(tracking_uri)
    if database is None:
        return None
    slug = re.sub(r"[^\w-]", "_", name, flags=re.ASCII)
    # Never only digits: `mlruns/1` is where MLflow itself puts the files of its experiment 1.
    if slug != name or slug.isdigit():
        slug += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return str(Path(database.parent / "mlruns" / slug))
