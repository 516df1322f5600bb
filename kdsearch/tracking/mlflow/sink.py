"""The sink that writes to MLflow: a mirror of the study's storage, which can always be rebuilt."""

import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import time_ns

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, RunTag

from kdsearch.config import StudyConfig
from kdsearch.redaction import without_userinfo
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.tracking.mlflow import database, experiment, labels, models, params, registry
from kdsearch.tracking.mlflow.failures import unavailable
from kdsearch.tracking.mlflow.metrics import teacher_metrics, trial_metrics
from kdsearch.tracking.mlflow.models import ModelLabel
from kdsearch.tracking.mlflow.origin import origin_tags
from kdsearch.tracking.mlflow.pages import texts
from kdsearch.tracking.mlflow.pages.links import view_link
from kdsearch.tracking.mlflow.pages.publish import publish, publish_result
from kdsearch.tracking.mlflow.pages.views import view_key
from kdsearch.tracking.mlflow.runs import Draft, KnownRun, RunBook
from kdsearch.tracking.mlflow.study_run import Opening, StudyRun, dataset_input
from kdsearch.tracking.sink import DatasetSummary, LoggableModel, StudyState

# A finished trial is FINISHED even if it was pruned: MLflow shows KILLED with FAILED's red cross.
_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "FINISHED", "FAIL": "FAILED"}

# In case MLflow was imported before it could read our default.
logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
# These print each failure with a traceback before they raise it; the caller decides that here.
for _name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass
class _OpenStudy:
    opening: Opening
    client: MlflowClient
    experiment: Experiment
    parent: StudyRun
    runs: RunBook
    origin: dict[str, str]


class MlflowSink:
    """Writes a study to MLflow. See `Sink` for the contract."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        """Connects to nothing yet.

        Args:
            tracking_uri: Where to write; if left out, `MLFLOW_TRACKING_URI`, else `mlflow.db` in
                the current folder.

        Raises:
            UserInputError: The tracking URI cannot work.
        """
        self.tracking_uri = tracking_uri or database.resolve_tracking_uri()
        database.check_uri(self.tracking_uri)
        self._opening: Opening | None = None
        self._study: _OpenStudy | None = None

    def open_study(
        self, config: StudyConfig, *, study_id: str, command: str, dataset: DatasetSummary
    ) -> str:
        """Find or make the study's run. If that fails, every later call tries it again first.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
            UserInputError: The tracking URI or the experiment cannot be used.
        """
        self._opening = Opening(config, study_id, command, dataset)
        self._study = None
        with self._connected() as study:
            return study.parent.run_id

    def log_trial(self, record: TrialRecord, *, model: LoggableModel | None) -> str:
        """Write one ended student whole, or complete what an earlier call left unfinished.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
            ValueError: The trial is still running.
        """
        if record.state == "RUNNING":
            raise ValueError(f"trial {record.trial} has not ended")
        with self._connected() as study:
            config = study.opening.config
            draft = Draft(
                key=labels.trial_key(study.opening.study_id, record),
                name=labels.trial_name(record),
                tags=labels.trial_tags(record) | study.origin,
                params=params.trial_params(config, record),
                identity=labels.record_hash(record, identity=True),
                content=labels.record_hash(record, identity=False),
                start_ms=_start_ms(record.train_seconds),
                seconds=record.train_seconds or 0.0,
            )
            return _write(
                study,
                draft,
                model,
                ModelLabel(
                    name=labels.model_name(config.name, labels.short_number(record)),
                    params=draft.params,
                    tags=labels.trial_tags(record),
                    step=record.epochs,
                ),
                lambda known: trial_metrics(
                    record,
                    objective=config.objective[0],
                    start_ms=known.start_ms,
                    model_id=known.model_id,
                ),
                status=_STATUS[record.state],
            )

    def log_teacher(
        self, bank: TeacherBankRecord, record: TeacherRecord, *, model: LoggableModel | None
    ) -> str:
        """Write one teacher whole; called again with test results, add them.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            name = study.opening.config.name
            draft = Draft(
                key=labels.teacher_key(study.opening.study_id, bank, record),
                name=labels.teacher_name(record),
                tags=labels.teacher_tags(name, bank, record) | study.origin,
                params=params.teacher_params(bank, record),
                identity=labels.record_hash(record, identity=True),
                content=labels.record_hash(record, identity=False),
                start_ms=_start_ms(record.train_seconds),
                seconds=record.train_seconds,
            )
            return _write(
                study,
                draft,
                model,
                ModelLabel(
                    name=labels.model_name(name, f"teacher-{record.member}"),
                    params=draft.params,
                    tags=labels.teacher_tags(name, bank, record),
                    step=record.epochs,
                ),
                lambda known: teacher_metrics(
                    record, start_ms=known.start_ms, model_id=known.model_id
                ),
                status="FINISHED",
            )

    def has_trial(self, record: TrialRecord) -> bool:
        """Whether MLflow has a run of that student.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            key = labels.trial_key(study.opening.study_id, record)
            return study.runs.get(key) is not None

    def has_teacher(self, bank: TeacherBankRecord, record: TeacherRecord) -> bool:
        """Whether MLflow has a run of that teacher in this study.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            key = labels.teacher_key(study.opening.study_id, bank, record)
            return study.runs.get(key) is not None

    def log_best(self, *, step: int, value: float) -> None:
        """Add a point to `study/best` on the study's run.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            study.parent.log_best(step, value)

    def register_champion(self, record: TrialRecord, *, tags: Mapping[str, str]) -> str | None:
        """Make a logged student `models:/STUDY@champion`.

        Returns:
            The version; None if the student was not logged with a loadable model.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            config = study.opening.config
            result = texts.result_text(config, record, tags)
            if result is not None:
                publish_result(study.client, study.experiment, config, result)
            known = study.runs.get(labels.trial_key(study.opening.study_id, record))
            if known is None or known.model_id is None:
                return None
            return registry.register_champion(
                study.client,
                config.name,
                model_id=known.model_id,
                run_id=known.run_id,
                tags=tags,
                texts=registry.Descriptions(
                    model=texts.model_text(config),
                    version=texts.version_text(config, record, tags),
                ),
            )

    def arrange(self, records: Sequence[TrialRecord]) -> None:
        """Bring the saved views and the description up to what the study has now.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            keyed = {r.key: labels.trial_key(study.opening.study_id, r) for r in records}
            known = {key: study.runs.get(own) for key, own in keyed.items()}
            publish(
                study.client,
                study.experiment,
                study.opening.config,
                parent_id=study.parent.run_id,
                records=records,
                run_ids={key: run.run_id for key, run in known.items() if run is not None},
            )

    def log_report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        """Put the report on the study's run: files, numbers, text.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
            NotADirectoryError: There is no such folder.
        """
        if not folder.is_dir():
            raise NotADirectoryError(folder)
        with self._connected() as study:
            config, experiment_id = study.opening.config, study.experiment.experiment_id
            text = texts.with_links(markdown, config, experiment_id)
            study.parent.log_report(folder, summary, text)

    def close_study(self, *, state: StudyState) -> None:
        """End the study's run: FINISHED, KILLED or FAILED.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        with self._connected() as study:
            study.parent.close(state)
            database.checkpoint(self.tracking_uri)

    def study_url(self) -> str | None:
        """Link to the study's charts on the tracking server; None for a database.

        Raises:
            TrackingUnavailableError: MLflow does not answer.
        """
        if not database.is_web_server(self.tracking_uri):
            return None
        with self._connected() as study:
            base_url = without_userinfo(self.tracking_uri)
            key = view_key(study.opening.config.name)
            return view_link(base_url, study.experiment.experiment_id, key)

    @contextmanager
    def _connected(self) -> Generator[_OpenStudy]:
        if self._opening is None:
            raise RuntimeError("open_study comes first")
        try:
            with unavailable(self.tracking_uri):
                if self._study is None:
                    self._study = _open(self.tracking_uri, self._opening)
                yield self._study
        except BaseException:
            # What MLflow kept of a failed or interrupted call is unknown: look before writing on.
            self._study = None
            raise


def _open(tracking_uri: str, opening: Opening) -> _OpenStudy:
    client = database.connect(tracking_uri)
    found = experiment.find_or_create(client, opening.config.experiment)
    parent = StudyRun.open(client, found.experiment_id, opening)
    runs = RunBook(client, found.experiment_id, parent.run_id)
    if not parent.is_new:
        runs.load()
    return _OpenStudy(opening, client, found, parent, runs, origin_tags(opening.command))


def _write(
    study: _OpenStudy,
    draft: Draft,
    model: LoggableModel | None,
    label: ModelLabel,
    make_metrics: Callable[[KnownRun], list[Metric]],
    *,
    status: str,
) -> str:
    known = study.runs.get(draft.key)
    if known is not None and known.holds(draft, with_model=model is not None):
        return known.run_id
    known = study.runs.begin(draft)
    study.client.log_inputs(known.run_id, [dataset_input(study.opening.dataset)])
    model_tags: dict[str, str] = {}
    if model is not None and not known.model_tried:
        model_tags = models.log_model(
            study.client, study.experiment.experiment_id, known.run_id, model, label
        )
        known = replace(known, model_id=model_tags.get(labels.MODEL), model_tried=True)
    elif known.model_id is not None:
        model_tags = {labels.MODEL: known.model_id}
    tags = draft.tags | model_tags | {labels.CONTENT: draft.content}
    study.client.log_batch(
        known.run_id,
        metrics=make_metrics(known),
        params=[Param(name, value) for name, value in draft.params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
        synchronous=True,
    )
    study.runs.finish(draft, known, status=status)
    return known.run_id


def _start_ms(seconds: float | None) -> int:
    return time_ns() // 1_000_000 - round(1000 * (seconds or 0.0))
