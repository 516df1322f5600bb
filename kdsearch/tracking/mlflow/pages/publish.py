"""Writes what people see first. Nothing depends on it, so nothing that fails here is an error."""

import contextlib
import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns

import sqlalchemy.exc
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.tracking.mlflow.labels import PARENT, SHOWN
from kdsearch.tracking.mlflow.pages.shown import choose_shown
from kdsearch.tracking.mlflow.pages.texts import experiment_text
from kdsearch.tracking.mlflow.pages.views import Students, view_tags

NOTE = "mlflow.note.content"
_OURS = "mlflow.kdsearchNote"
"""Hash of the description that we wrote. MLflow's pages hide tags that begin like its own."""
_RESULT = "kdsearch.result"


@contextmanager
def best_effort() -> Generator[None]:
    """Pages are worth no study: a refusal, an absence or a deleted run ends the block quietly."""
    with contextlib.suppress(MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError):
        yield


def publish(
    client: MlflowClient,
    experiment: Experiment,
    config: StudyConfig,
    *,
    parent_id: str,
    records: Sequence[TrialRecord],
    run_ids: Mapping[str, str],
) -> None:
    """Bring a study's views and description up to what it has now.

    Args:
        client: Of the tracker.
        experiment: Of the study.
        config: The study.
        parent_id: The study's own run.
        records: All of its students.
        run_ids: Run of each student that MLflow has, by its key.
    """
    shown = choose_shown(config, records)
    with best_effort():
        _mark(client, experiment, parent_id, {run_ids[k] for k in shown.keys if k in run_ids})
    with best_effort():
        is_confirmed = any(r.stage == "confirm" and r.state == "COMPLETE" for r in records)
        students = Students(parent_id, shown.marked, is_confirmed=is_confirmed)
        now_ms = time_ns() // 1_000_000
        tags = view_tags(config, students, now_ms=now_ms, known=experiment.tags)
        for key, value in tags.items():
            client.set_experiment_tag(experiment.experiment_id, key, value)
        experiment.tags.update(tags)
    with best_effort():
        _describe(client, experiment, experiment_text(config))


def publish_result(
    client: MlflowClient, experiment: Experiment, config: StudyConfig, result: str
) -> None:
    """Put a study's result into the list of experiments."""
    key = _RESULT if config.experiment == config.name else f"{_RESULT}.{config.name}"
    with best_effort():
        client.set_experiment_tag(experiment.experiment_id, key, result)


def _mark(client: MlflowClient, experiment: Experiment, parent_id: str, wanted: set[str]) -> None:
    """Tag the runs that the views are to show, and those alone."""
    query = f"tags.`{PARENT}` = '{parent_id}' AND tags.{SHOWN} = 'true'"
    found = client.search_runs([experiment.experiment_id], query, max_results=1000)
    marked = {run.info.run_id for run in found}
    for run_id in sorted(wanted - marked):
        with best_effort():
            client.set_tag(run_id, SHOWN, "true")
    for run_id in sorted(marked - wanted):
        with best_effort():
            client.delete_tag(run_id, SHOWN)


def _describe(client: MlflowClient, experiment: Experiment, text: str) -> None:
    """Set the experiment's description, unless a person wrote one."""
    current = experiment.tags.get(NOTE, "")
    digest = hashlib.sha256(text.encode()).hexdigest()
    is_ours = hashlib.sha256(current.encode()).hexdigest() == experiment.tags.get(_OURS)
    if current == text or (current and not is_ours):
        return
    for key, value in ((NOTE, text), (_OURS, digest)):
        client.set_experiment_tag(experiment.experiment_id, key, value)
        experiment.tags[key] = value
