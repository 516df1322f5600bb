"""Keeps MLflow a mirror of the ledger. If it is away, the study goes on and catches up later."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from safetensors.torch import load_file

from kdsearch.config import StudyConfig
from kdsearch.data import Dataset
from kdsearch.distill import Teacher
from kdsearch.errors import InterruptedStudyError
from kdsearch.execution.materials import load_data
from kdsearch.execution.student import students_path
from kdsearch.models import Classifier, Normalization, build_model
from kdsearch.results import TeacherBankRecord, TrialRecord
from kdsearch.study.ledger import Ledger
from kdsearch.study.paths import StudyPaths
from kdsearch.tracking import DatasetSummary, LoggableModel, Sink, TrackingUnavailableError
from kdsearch.tracking.sink import StudyState


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
        self._was_away = False
        self._waiting_teachers: list[Callable[[], object]] = []

    def __enter__(self) -> "Mirror":
        """Open the study's run and write what the sink has missed."""
        self._attempt(self._open_study)
        self._catch_up()
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
        self._catch_up()
        self._attempt(lambda: self._sink.close_study(state=state))

    def trial(self, record: TrialRecord) -> TrialRecord:
        """Write an ended trial; returns the record with its run id if that worked."""
        run_id: list[str | None] = []
        model = self._model(record)
        if not self._attempt(lambda: run_id.append(self._sink.log_trial(record, model=model))):
            return record
        self._forget_weights(record)
        return record.model_copy(update={"mlflow_run_id": run_id[0]})

    def best(self, *, step: int, value: float) -> None:
        """Write the best objective so far."""
        self._attempt(lambda: self._sink.log_best(step=step, value=value))

    def bank(self, bank: TeacherBankRecord, teachers: list[Teacher]) -> None:
        """Write the members of a bank."""

        def write() -> None:
            for teacher, record in zip(teachers, bank.members, strict=True):
                model = LoggableModel(teacher.model, self._dataset.input_shape)
                self._sink.log_teacher(bank, record, model=model)

        if not self._attempt(write):
            self._waiting_teachers.append(write)

    def champion(self, record: TrialRecord, tags: Mapping[str, str]) -> None:
        """Register the best confirmed student."""
        self._attempt(lambda: self._sink.register_champion(record, tags=tags))

    def report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        """Put the report on the study's run."""
        self._attempt(lambda: self._sink.log_report(folder, summary=summary, markdown=markdown))

    def _open_study(self) -> None:
        if self._is_open:
            return
        run_id = self._sink.open_study(
            self._config,
            study_id=self._ledger.study_id,
            command=self._command,
            dataset=summarize(self._dataset),
        )
        self._is_open = True
        if run_id is not None:
            self._ledger.link_study(run_id)

    def _catch_up(self) -> None:
        waiting, self._waiting_teachers = self._waiting_teachers, []
        for write in waiting:
            if not self._attempt(write):
                self._waiting_teachers.append(write)
        for record in self._ledger.records():
            if record.state == "RUNNING" or record.mlflow_run_id is not None:
                continue
            written = self.trial(record)
            if written.mlflow_run_id is None:
                return
            self._ledger.link(record, written.mlflow_run_id)

    def _attempt(self, call: Callable[[], object]) -> bool:
        try:
            self._open_study()
            call()
        except TrackingUnavailableError as error:
            if not self._was_away:
                self._warn(f"{error} The study goes on; MLflow is caught up when it is back.")
            self._was_away = True
            return False
        self._was_away = False
        return True

    def _model(self, record: TrialRecord) -> LoggableModel | None:
        path = self._weights(record)
        policy = self._config.tracking.models
        wanted = policy == "all" or (policy == "confirmed" and record.stage == "confirm")
        if not (wanted and record.state == "COMPLETE" and path.exists()):
            return None
        trial = self._config.trial_config(record.settings)
        body = build_model(
            trial.student,
            input_shape=self._dataset.input_shape,
            num_classes=self._dataset.num_classes,
            seed=0,
        )
        body.load_state_dict(load_file(path))
        seen = load_data(trial.data, self._cache)
        model = Classifier(Normalization(seen.mean, seen.std), body)
        return LoggableModel(model.eval(), self._dataset.input_shape)

    def _forget_weights(self, record: TrialRecord) -> None:
        self._weights(record).unlink(missing_ok=True)

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
    )
