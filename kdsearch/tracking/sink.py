"""What a study tells its tracker: the protocol that the coordinator calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from kdsearch.config import StudyConfig
from kdsearch.errors import KdsearchError
from kdsearch.results import TeacherBankRecord, TeacherRecord, TrialRecord

if TYPE_CHECKING:
    import torch

InputDtype = Literal["float32", "int64"]
"""Of samples: real numbers, or whole ones such as token ids."""
StudyState = Literal["finished", "interrupted", "failed"]


class TrackingUnavailableError(KdsearchError):
    """The tracking server or its database does not answer; calling again later catches up."""


@dataclass(frozen=True)
class DatasetSummary:
    """A data set in numbers: what tracking shows of it, without its samples."""

    name: str
    """Its `data.kind`, or a name of its own."""
    fingerprint: str
    """Content hash of all splits."""
    num_train: int
    num_val: int
    num_test: int
    num_classes: int
    input_shape: tuple[int, ...]
    """Shape of one sample, without the batch dimension."""
    input_dtype: InputDtype = "float32"


@dataclass(frozen=True)
class LoggableModel:
    """A trained model that takes raw inputs [B, *input_shape] to logits [B, C]."""

    module: "torch.nn.Module"
    """On any device, in any mode; it is not changed."""
    input_shape: tuple[int, ...]
    architecture: str | None = None
    """Models of equal architecture compute the same but for their state; None for one whose
    attributes nobody knows."""
    input_dtype: InputDtype = "float32"


class Sink(Protocol):
    """A mirror of the study's storage. Calls come from one process and thread.

    Every method may be called again with the same arguments and then changes nothing; after a
    kill that is how a half-written run gets completed. Every method raises
    `TrackingUnavailableError` within seconds where the tracker does not answer.
    """

    def open_study(
        self, config: StudyConfig, *, study_id: str, command: str, dataset: DatasetSummary
    ) -> str | None:
        """Find or make the study's own run, and learn which runs it already has.

        Args:
            config: The study.
            study_id: Unique to the study in its storage; two studies of one name differ in it.
            command: The command line, for people.
            dataset: What the students are trained on.

        Returns:
            Id of the study's run, or None if the sink keeps none.
        """
        ...

    def log_trial(self, record: TrialRecord, *, model: LoggableModel | None) -> str | None:
        """Write one ended student (any state but RUNNING) whole. Returns the id of its run."""
        ...

    def log_teacher(
        self, bank: TeacherBankRecord, record: TeacherRecord, *, model: LoggableModel | None
    ) -> str | None:
        """Write one teacher; again once its test metrics are known. Returns the id of its run."""
        ...

    def has_trial(self, record: TrialRecord) -> bool:
        """Whether the tracker has a run of that student; false again once it is deleted there."""
        ...

    def has_teacher(self, bank: TeacherBankRecord, record: TeacherRecord) -> bool:
        """Whether the tracker has a run of that teacher in this study."""
        ...

    def log_best(self, *, step: int, value: float) -> None:
        """Write the best objective so far on the study's run; `step` is the trial's number."""
        ...

    def register_champion(self, record: TrialRecord, *, tags: Mapping[str, str]) -> str | None:
        """Make the model of a logged student `models:/STUDY@champion`.

        Returns:
            The version of the registered model, or None if the student has no loadable model.
        """
        ...

    def log_report(self, folder: Path, *, summary: Mapping[str, float], markdown: str) -> None:
        """Put the report's files, its main numbers and its text on the study's run."""
        ...

    def arrange(self, records: Sequence[TrialRecord]) -> None:
        """Bring what people see first up to date, such as saved views.

        Args:
            records: All students of the study so far; those still running are not logged.
        """
        ...

    def study_url(self) -> str | None:
        """Where people look at the study; None if that is not on the web."""
        ...

    def close_study(self, *, state: StudyState) -> None:
        """End the study's run."""
        ...
