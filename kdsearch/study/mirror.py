"""Keeps MLflow a mirror of the ledger. If it is away, the study goes on and catches up later."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from safetensors.torch import load_file

from kdsearch.config import ImportModel, StudyConfig
from kdsearch.data import Dataset
from kdsearch.distill import Teacher
from kdsearch.errors import InterruptedStudyError
from kdsearch.execution.materials import load_data
from kdsearch.execution.student import students_path
from kdsearch.models import Classifier, Normalization, build_model
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord
from kdsearch.results.objective import complete_score, complete_value
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.paths import StudyPaths
from kdsearch.tracking import DatasetSummary, LoggableModel, Sink, TrackingUnavailableError
from kdsearch.tracking.sink import InputDtype, StudyState

RETRY_SECONDS = 30.0
"""How long an absent server is left alone: each call to one may take 20 s to fail."""


class Mirror:
    """What the study tells its sink, with the sink's absences kept from the study."""

    def __init__(
        self,
        sink: Sink,
        *,
        config: StudyConfig,
        ledger: Ledger,
        dataset: Dataset,
        paths: StudyPaths,
        cache: Path,
        command: str,
        warn: Callable[[str], None],
    ) -> None:
        self._sink = sink
        self._config = config
        self._ledger = ledger
        self._dataset = dataset
        self._paths = paths
        self._cache = cache
        self._command = command
        self._warn = warn
        self._is_open = False
        self._has_warned = False
        self._is_behind = False
        self._retry_at = -math.inf
        self._told_best: BestSoFar | None = None
        self._waiting: dict[str, Callable[[], object]] = {}
        self._lost: set[str] = set()
        self.champion_version: str | None = None
        """Version of the registered model, once there is one."""

    def __enter__(self) -> "Mirror":
        """Open the study's run and write what the sink has missed."""
        self._attempt(self._open_study)
        self._catch_up()
        self._arrange()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Catch up a last time and end the study's run as what happened demands."""
        state: StudyState = "finished" if kind is None else "failed"
        if kind is not None and issubclass(kind, InterruptedStudyError | KeyboardInterrupt):
            state = "interrupted"
        self._retry_at = -math.inf
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            self._catch_up()
            self._arrange()
        self._attempt(lambda: self._sink.close_study(state=state))

    def trial(self, record: TrialRecord) -> TrialRecord:
        """Write an ended trial; returns the record with its run id if that worked."""
        written = self._write(record)
        if written is None:
            return record
        if self._is_behind:
            self._catch_up()
        return written

    def best(self) -> None:
        """Write how the best objective developed over the ended trials of the search."""
        for best in best_so_far(self._config, self._ledger.records(), self._told_best):
            log = partial(self._sink.log_best, step=best.trial, value=best.value)
            if not self._attempt(log):
                return
            self._told_best = best

    def bank(self, bank: TeacherBankRecord, teachers: list[Teacher]) -> None:
        """Write the members of a bank, and keep their run ids in the ledger."""

        def write() -> None:
            members: list[TeacherRecord] = []
            for teacher, record in zip(teachers, bank.members, strict=True):
                model = LoggableModel(
                    teacher.model, self._dataset.input_shape, input_dtype=dtype_name(self._dataset)
                )
                run_id = self._sink.log_teacher(bank, record, model=model)
                members.append(record.model_copy(update={"mlflow_run_id": run_id}))
            self._ledger.save_bank(bank.model_copy(update={"members": tuple(members)}))

        self._write_in_order(f"bank {bank.key}", write)

    def champion(self, record: TrialRecord, tags: Mapping[str, str]) -> None:
        """Register the best confirmed student, once its own run is written."""

        def register() -> None:
            self.champion_version = self._sink.register_champion(record, tags=tags)

        self._write_in_order("champion", register)

    def report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        """Put the report on the study's run."""
        log = partial(self._sink.log_report, folder, summary=summary, markdown=markdown)
        self._write_in_order("report", log)

    def url(self) -> str | None:
        """Where people look at the study; None if that is not on the web, or away."""
        found: list[str | None] = []
        self._attempt(lambda: found.append(self._sink.study_url()))
        return found[0] if found else None

    def drop_weights(self, record: TrialRecord) -> None:
        """Delete the weights of a trial that was trained again although it is written already."""
        if record.mlflow_run_id is not None:
            self._weights(record).unlink(missing_ok=True)

    def _arrange(self) -> None:
        self._attempt(lambda: self._sink.arrange(self._ledger.records()))

    def _open_study(self) -> None:
        if self._is_open:
            return
        run_id = self._sink.open_study(
            self._config,
            study_id=self._ledger.study_id,
            command=self._command,
            dataset=summarize(self._dataset),
        )
        if run_id is not None:
            self._ledger.link_study(run_id)
        self._find_lost()
        self._is_open = True

    def _find_lost(self) -> None:
        """Find what was written once and is not there now: another tracker, or a deleted one."""
        ended = [r for r in self._ledger.records() if r.mlflow_run_id is not None]
        lost = [r for r in ended if r.state != "RUNNING" and not self._sink.has_trial(r)]
        self._lost = {record.key for record in lost}
        for bank in self._ledger.banks():
            members = tuple(
                m
                if m.mlflow_run_id is None or self._sink.has_teacher(bank, m)
                else m.model_copy(update={"mlflow_run_id": None})
                for m in bank.members
            )
            if members != bank.members:
                self._ledger.save_bank(bank.model_copy(update={"members": members}))
        if any(self._wants_model(r) and not self._weights(r).exists() for r in lost):
            self._warn(
                f"MLflow has lost {len(lost)} runs of this study, which are written again, but "
                "without models, because weights are deleted once they are logged: "
                f"models:/{self._config.name}@champion cannot be registered again"
            )

    def _write_in_order(self, key: str, write: Callable[[], object]) -> None:
        self._waiting[key] = write
        self._catch_up()

    def _catch_up(self) -> None:
        self._is_behind = False
        for record in self._ledger.records():
            is_written = record.mlflow_run_id is not None and record.key not in self._lost
            if record.state == "RUNNING" or is_written:
                continue
            written = self._write(record)
            if written is None:
                return
            if written.mlflow_run_id is not None:
                self._ledger.link(record, written.mlflow_run_id)
        for key, write in list(self._waiting.items()):
            if not self._attempt(write):
                return
            del self._waiting[key]
        self.best()

    def _write(self, record: TrialRecord) -> TrialRecord | None:
        run_ids: list[str | None] = []

        def write() -> None:
            run_ids.append(self._sink.log_trial(record, model=self._model(record)))

        if not self._attempt(write):
            return None
        self._weights(record).unlink(missing_ok=True)
        self._lost.discard(record.key)
        return record.model_copy(update={"mlflow_run_id": run_ids[0]})

    def _attempt(self, call: Callable[[], object]) -> bool:
        """Whether a call to the sink succeeded; not made soon after one that failed."""
        if time.monotonic() < self._retry_at:
            self._is_behind = True
            return False
        try:
            self._open_study()
            call()
        except TrackingUnavailableError as error:
            if not self._has_warned:
                self._warn(str(error))
            self._has_warned = self._is_behind = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return False
        self._has_warned = False
        return True

    def _model(self, record: TrialRecord) -> LoggableModel | None:
        path = self._weights(record)
        if not (self._wants_model(record) and path.exists()):
            return None
        trial = self._config.trial_config(record.settings)
        body = build_model(
            trial.student,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            input_dtype=self._dataset.input_dtype,
            seed=0,
        )
        body.load_state_dict(load_file(path))
        seen = load_data(trial.data, self._cache)
        model = Classifier(Normalization(seen.mean, seen.std), body)
        is_known = not isinstance(trial.student, ImportModel)
        architecture = trial.student.model_dump_json() if is_known else None
        return LoggableModel(
            model.eval(),
            self._dataset.input_shape,
            architecture,
            input_dtype=dtype_name(self._dataset),
        )

    def _wants_model(self, record: TrialRecord) -> bool:
        policy = self._config.tracking.models
        wanted = policy == "all" or (policy == "confirmed" and record.stage == "confirm")
        return wanted and record.state == "COMPLETE"

    def _weights(self, record: TrialRecord) -> Path:
        return students_path(self._paths.students, record.key)


def summarize(dataset: Dataset) -> DatasetSummary:
    """A data set in numbers."""
    return DatasetSummary(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        num_train=len(dataset.train),
        num_val=len(dataset.val),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        input_dtype=dtype_name(dataset),
    )


def dtype_name(dataset: Dataset) -> InputDtype:
    """What samples are, by name."""
    return "float32" if dataset.input_dtype.is_floating_point else "int64"


class BestSoFar(NamedTuple):
    """What a study knew after one of its trials."""

    trial: int
    """Its number."""
    value: float
    """Of the first objective."""
    record: TrialRecord
    """The trial that has it."""
    position: int
    """Of the trial among all records."""


def best_so_far(
    config: StudyConfig, records: Sequence[TrialRecord], since: BestSoFar | None = None
) -> Iterator[BestSoFar]:
    """The best first objective after each complete distilled search trial, by its number.

    Ends before the first trial that still runs, so that no point changes later.

    Args:
        config: The study.
        records: All of its records, the distilled search trials first, by number.
        since: Only points after this one.
    """
    objective = config.objective[0]
    best = None if since is None else since.record
    start = 0 if since is None else since.position + 1
    for position, record in enumerate(records[start:], start):
        if (record.stage, record.arm) != ("search", "distilled") or record.state == "RUNNING":
            return
        if record.state == "COMPLETE":
            if best is None or complete_score(record, objective) > complete_score(best, objective):
                best = record
            yield BestSoFar(record.trial, complete_value(best, objective), best, position)
