"""What a running study shows: a live display on a terminal, plain lines elsewhere."""

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from kdsearch.cli.pace import Pace
from kdsearch.cli.scoreboard import Scoreboard
from kdsearch.config import StudyConfig
from kdsearch.results import EpochMetrics, Stage, TeacherBankRecord, TrialRecord
from kdsearch.study.listener import Listener, StageName
from kdsearch.study.planning.duration import in_words

if TYPE_CHECKING:  # the first frame comes before torch, Optuna and MLflow are imported
    from kdsearch.study.run import StudyResult

LINE_EVERY_SECONDS = 5.0
TEACHER_KEY = "teacher/"
"""How the keys of teachers begin."""

LOADING, OPENING = "loading PyTorch, Optuna and MLflow", "opening storage and MLflow"
"""What is done before the first stage."""
DOING: dict[StageName, str] = {
    "teachers": "training teachers",
    "search": "searching",
    "confirm": "confirming",
    "report": "writing the report",
}


class Display(Listener):
    """Counts what a study does and shows it; the one listener of the command line."""

    def __init__(self, config: StudyConfig, console: Console) -> None:
        self._config = config
        self._console = console
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), console=console
        )
        self._spinner = Spinner("dots")
        self._began = time.monotonic()
        self._doing: str | None = LOADING
        self._tasks: dict[StageName, TaskID] = {}
        self._board = Scoreboard(config)
        self._pace = Pace()
        self._epochs: dict[str, int] = {}
        self._told_at = 0.0
        self._left: str = ""
        self._taught: str = ""
        self._banks: set[str] = set()
        self._members = 0  # trained in stages that are over
        self._finished: set[str] = set()  # keys in the teachers' stage that goes on

    def start(self) -> None:
        """Begin to show, live if there is a terminal."""
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._render)
            self._live.start(refresh=True)
        self._line(self._title)

    def stop(self) -> None:
        """Leave the last state on the screen."""
        self._doing = None
        self._epochs.clear()
        if self._live is not None:
            self._live.stop()

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """See `Listener.resumed`."""
        self._doing = OPENING
        for record in records:
            self._board.count(record)

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """See `Listener.stage`."""
        self._end_teachers()
        self._left = "" if name == "report" else self._left
        if name == "teachers" and not total:
            return
        self._doing = DOING[name]
        if name == "teachers":
            # Each time that some teachers are missing is a stage of its own; the bar sums them.
            self._members, total, done = (n + self._members for n in (total, total, done))
        is_new = name not in self._tasks
        if is_new:
            self._tasks[name] = self._progress.add_task(name, total=total)
        if is_new or name == "report":
            self._line(f"{name}: {done} of {total} done")
        self._progress.update(self._tasks[name], total=total, completed=done)

    def epoch(self, key: str, metrics: EpochMetrics) -> None:
        """See `Listener.epoch`."""
        is_teacher = key.startswith(TEACHER_KEY)
        if not is_teacher:
            self._pace.epoch()
        if not is_teacher or metrics.epoch < self._config.teacher.training.epochs:
            self._epochs[key] = metrics.epoch
            return
        self._epochs.pop(key, None)
        if "teachers" in self._tasks and key not in self._finished:
            self._finished.add(key)
            self._progress.advance(self._tasks["teachers"])

    def teacher(self, bank: TeacherBankRecord) -> None:
        """See `Listener.teacher`."""
        self._end_teachers()
        if bank.key in self._banks:  # told again once it is measured on the test set
            return
        self._banks.add(bank.key)
        whole = bank.ensembles[-1]
        together = "" if len(bank.members) == 1 else "together "
        self._taught = (
            f"teachers: {len(bank.members)} x {bank.members[0].model}, "
            f"{together}validation accuracy {whole.val.accuracy:.1%}"
        )
        self._line(self._taught)

    def trial(self, record: TrialRecord) -> None:
        """See `Listener.trial`."""
        self._epochs.pop(record.key, None)
        self._progress.advance(self._tasks[record.stage])
        self._board.count(record)
        self._pace.student()
        if record.state == "FAIL":
            self.warn(f"trial {record.key} failed: {record.failure}")
        self._tell_now_and_then(record.stage)

    def time_left(self, seconds: float) -> None:
        """See `Listener.time_left`."""
        most = " at most" if self._config.study.ladder is not None else ""
        self._left = f"about {in_words(seconds)} left{most}"

    def note(self, text: str) -> None:
        """See `Listener.note`."""
        self._console.print(self._wrap(text), markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
        told = self._wrap(f"warning: {text}")
        self._console.print(told, style="yellow", markup=False, soft_wrap=True)

    def summary(self, result: "StudyResult") -> None:
        """Print what was found and where it is."""
        for sentence in (*result.report.finding, result.report.recommendation):
            self._console.print(
                self._wrap(sentence), markup=False, highlight=False, soft_wrap=True
            )
        closing = (
            f"\n{result.new_trials} students trained in this run.",
            f"report: {result.report.html}",
            f"charts: {result.charts}",
            f"model:  {result.model or 'none was logged'}",
        )
        for line in closing:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _end_teachers(self) -> None:
        """Whoever still counts as in training stopped early: the next stage has begun."""
        self._finished.clear()
        for key in [key for key in self._epochs if key.startswith(TEACHER_KEY)]:
            del self._epochs[key]
        if "teachers" in self._tasks:
            self._progress.update(self._tasks["teachers"], completed=self._members)

    def _wrap(self, sentence: str) -> str:
        """A sentence in lines that fit the terminal, with no `%` away from its number."""
        if not self._console.is_terminal:
            return sentence
        kept = sentence.replace(" %", "\u00a0%")  # which rich would break at, and textwrap not
        wrapped = textwrap.fill(
            kept, self._console.width, break_long_words=False, break_on_hyphens=False
        )  # links and paths stay whole, so that they can be copied
        return wrapped.replace("\u00a0", " ")

    @property
    def _title(self) -> str:
        return f"study {self._config.name}: {self._config.question_text}"

    def _render(self) -> Group:
        """What the study does, how far it is, the best so far; the long table last."""
        parts: list[RenderableType] = [Text(self._title, style="bold")]
        if self._doing is not None:
            self._spinner.update(text=self._now_in_words())
            parts.append(self._spinner)
        if self._tasks:
            parts.append(self._progress)
        losses = self._board.losses_in_words()
        lines = (self._pace.in_words(), losses, self._taught, self._board.best_in_words())
        parts += [Text(line) for line in lines if line]
        if "search" in self._tasks:
            parts += [Text(), self._board.table()]
        return Group(*parts)

    def _now_in_words(self) -> str:
        running = f"{len(self._epochs)} in training" if self._epochs else ""
        elapsed = f"{timedelta(seconds=int(time.monotonic() - self._began))} so far"
        return ", ".join(filter(None, (self._doing, running, elapsed, self._left)))

    def _tell_now_and_then(self, stage: Stage) -> None:
        if self._live is not None or time.monotonic() - self._told_at < LINE_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        task = self._progress.tasks[self._tasks[stage]]
        best = self._board.score_in_words()
        parts = (f"{task.completed:.0f} of {task.total:.0f}", best and f"best {best}", self._left)
        self._line(f"{stage}: {', '.join(filter(None, parts))}")

    def _line(self, text: str) -> None:
        if self._live is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def show_run(config: StudyConfig) -> Iterator[Display]:
    """A display for the length of a run."""
    display = Display(config, Console())
    display.start()
    try:
        yield display
    finally:
        display.stop()
