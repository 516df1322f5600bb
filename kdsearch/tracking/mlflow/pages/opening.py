"""Finding the pages of a study that is there already, and bringing them up to date."""

from collections.abc import Sequence
from typing import NamedTuple

from kdsearch.config import StudyConfig
from kdsearch.errors import UserInputError
from kdsearch.redaction import without_userinfo
from kdsearch.results import TrialRecord
from kdsearch.tracking.mlflow import database, labels
from kdsearch.tracking.mlflow.failures import unavailable
from kdsearch.tracking.mlflow.pages.links import experiments_link, view_link
from kdsearch.tracking.mlflow.pages.publish import publish
from kdsearch.tracking.mlflow.pages.views import view_key


class Tracker(NamedTuple):
    """Where the runs are."""

    uri: str
    web_address: str | None
    """Of its pages; None for a database, which has none until a server shows it."""


def find_tracker() -> Tracker:
    """The tracker that a study run here would write to.

    Raises:
        UserInputError: It cannot work, it has pages of its own, or nothing was written yet.
    """
    uri = database.resolve_tracking_uri()
    database.check_uri(uri)
    if database.is_web_server(uri):
        return Tracker(uri, without_userinfo(uri))
    path = database.sqlite_path(uri)
    if path is None and uri.startswith("databricks"):
        raise UserInputError("the runs are on Databricks, which shows them on its own pages")
    if path is not None and not path.exists():
        raise UserInputError(
            f"there is nothing to show yet: {path} does not exist; run `kdsearch study run FILE`"
        )
    return Tracker(uri, None)


def list_link(base_url: str) -> str:
    """Link to the list of experiments."""
    return experiments_link(base_url)


def study_link(
    tracker: Tracker,
    base_url: str,
    *,
    config: StudyConfig,
    study_id: str,
    records: Sequence[TrialRecord],
) -> str:
    """Link to a study's charts, whose views are written or brought up to date first.

    Args:
        tracker: Where its runs are.
        base_url: Where MLflow's pages are.
        config: The study.
        study_id: Its id in its storage.
        records: All of its students.

    Raises:
        TrackingUnavailableError: The tracker does not answer.
        UserInputError: It has no such study.
    """
    with unavailable(tracker.uri):
        client = database.connect(tracker.uri)
        experiment = client.get_experiment_by_name(config.experiment)
        found = []
        if experiment is not None:
            key = labels.study_key(study_id)
            query = f"tags.`{labels.KEY}` = '{key}'"
            found = client.search_runs([experiment.experiment_id], query, max_results=1)
        if experiment is None or not found:
            raise UserInputError(
                f"MLflow at {without_userinfo(tracker.uri)} has no runs of study {config.name}; "
                "set MLFLOW_TRACKING_URI as it was when the study ran, or run it again: what is "
                "missing is written then"
            )
        publish(
            client,
            experiment,
            config,
            parent_id=found[0].info.run_id,
            records=records,
            run_ids={r.key: r.mlflow_run_id for r in records if r.mlflow_run_id is not None},
        )
        return view_link(base_url, experiment.experiment_id, view_key(config.name))
