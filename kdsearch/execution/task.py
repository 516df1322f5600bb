"""What the coordinator hands to executors, and what comes back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from kdsearch.config import DataConfig, Metric, Objective, TeacherConfig, TrialConfig
from kdsearch.results import EpochMetrics, Outcome

EngineName = Literal["reference", "population"]


@dataclass(frozen=True)
class StudentSpec:
    """One student to train."""

    key: str
    """Names it in the study, such as `search/distilled/12`."""
    trial: TrialConfig
    """What it is and how it is taught."""
    seed: int
    """Decides its initial weights."""
    order_seed: int
    """Decides its batches."""
    opens_test: bool = False
    """Whether it is measured on the test set afterwards (confirm stage only)."""
    refit: bool = False
    """Whether it is then trained again on training and validation samples (confirm stage only):
    its validation is that of the first training, weights and test are those of the second."""


@dataclass(frozen=True)
class CohortTask:
    """One leg of students that one worker trains together: the unit of checkpoint and resume."""

    key: str
    specs: tuple[StudentSpec, ...]
    until: int | None
    """The epoch, a rung, at which students pause for the coordinator to compare them; None trains
    them to their ends."""
    ranking: Objective
    """What ranks epochs and, at rungs, students."""
    teacher_data: DataConfig
    """The study's data, which the teachers were trained on; a student may see a fraction of it."""
    checkpoint: Path
    """Where this leg stands; kept at its end, for the next leg to start from."""
    students: Path
    """Folder for the trained students' weights, one safetensors file each."""
    cache: Path
    engine: EngineName = "reference"
    """How students that can be stacked are trained; the others take the reference loop."""
    origins: tuple[Path, ...] = ()
    """Checkpoints of the legs that the students come from."""
    pruned: bool = False
    """The students lost at the rung `until`: they are measured as they are, and end."""
    own_metrics: tuple[Metric, ...] = ()
    """The study's own, which students are measured by beside those of the table."""


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

    key: str
    metrics: EpochMetrics


@dataclass(frozen=True)
class StudentPaused:
    """A student waits at its cohort's rung."""

    key: str
    score: float
    """Its best so far; higher is better."""


@dataclass(frozen=True)
class StudentDone:
    """A student's training has ended, one way or another."""

    key: str
    outcome: Outcome


@dataclass(frozen=True)
class TaskFailed:
    """The task as a whole could not go on; its unfinished students have failed."""

    reason: str


Event = EpochDone | StudentPaused | StudentDone | TaskFailed
Notify = Callable[[Task, Event], None]

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
        notify: Notify,
        should_stop: Callable[[], bool],
        idle: Idle = nothing_to_do,
    ) -> None:
        """Run all tasks; return when the last has ended, or soon after `should_stop` says so.

        Args:
            tasks: Independent of each other.
            notify: Called with everything that happens, in the calling thread.
            should_stop: Polled; once true, tasks save a checkpoint and end early.
            idle: Called while no task has anything to say, so that bookkeeping holds no task up.
        """
        ...

    def close(self) -> None:
        """Release what the executor holds."""
        ...
