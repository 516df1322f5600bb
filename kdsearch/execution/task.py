"""What the coordinator hands to executors, and what comes back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from kdsearch.config import DataConfig, TeacherConfig, TrialConfig
from kdsearch.results import EpochMetrics, Outcome

EngineName = Literal["reference", "population"]
ScoreName = Literal["val_accuracy", "val_loss", "val_agreement"]


@dataclass(frozen=True)
class Row:
    """One student to train."""

    key: str
    """Names it in the study, such as `search/distilled/12`."""
    trial: TrialConfig
    """What it is and how it is taught; alpha 1 needs no teacher."""
    seed: int
    """Decides its initial weights."""
    order_seed: int
    """Decides its batches."""
    opens_test: bool = False
    """Whether it is measured on the test set afterwards (confirm stage only)."""


@dataclass(frozen=True)
class CohortTask:
    """Students that one worker trains together: the unit of checkpoint and resume."""

    key: str
    rows: tuple[Row, ...]
    rungs: tuple[int, ...]
    """Epochs after which the coordinator decides who goes on, ascending."""
    score: ScoreName
    """What ranks epochs and, at rungs, students."""
    teacher_data: DataConfig
    """What the teachers were trained on; a student may see a fraction of it."""
    checkpoint: Path
    students: Path
    """Folder for the trained students' weights, one safetensors file a row."""
    cache: Path
    engine: EngineName = "reference"
    """How students that can be stacked are trained; the others take the reference loop."""


@dataclass(frozen=True)
class TeacherTask:
    """One member of a bank: trained if nobody has yet, and its train and val logits cached."""

    key: str
    teacher: TeacherConfig
    data: DataConfig
    member: int
    cache: Path


Task = CohortTask | TeacherTask


@dataclass(frozen=True)
class EpochDone:
    """A student (or teacher) has finished an epoch."""

    row: str
    metrics: EpochMetrics


@dataclass(frozen=True)
class RungReached:
    """All live students of a cohort have reached a rung; the answer says who goes on."""

    epoch: int
    scores: dict[str, float]
    """Best score so far by row key; higher is better."""


@dataclass(frozen=True)
class RowDone:
    """A student's training has ended, one way or another."""

    row: str
    outcome: Outcome


@dataclass(frozen=True)
class TaskFailed:
    """The task as a whole could not go on; its unfinished rows have failed."""

    reason: str


Event = EpochDone | RungReached | RowDone | TaskFailed
Decide = Callable[[CohortTask, RungReached], frozenset[str]]
Notify = Callable[[Task, EpochDone | RowDone | TaskFailed], None]

Idle = Callable[[], bool]
"""Does a piece of waiting work, if there is one, and says whether there was."""


def nothing_to_do() -> bool:
    """An `Idle` without work."""
    return False


class Executor(Protocol):
    """Where tasks run. Results must not depend on the choice."""

    def run(
        self,
        tasks: Sequence[Task],
        *,
        decide: Decide,
        notify: Notify,
        should_stop: Callable[[], bool],
        idle: Idle = nothing_to_do,
    ) -> None:
        """Run all tasks; return when the last has ended, or soon after `should_stop` says so.

        Args:
            tasks: Independent of each other.
            decide: Called at each rung of a cohort; returns the row keys that go on.
            notify: Called with everything else that happens, in the calling thread.
            should_stop: Polled; once true, tasks save a checkpoint and end early.
            idle: Called while no task has anything to say, so that bookkeeping holds no task up.
        """
        ...

    def close(self) -> None:
        """Release what the executor holds."""
        ...
