"""What a running study shows: a live display on a terminal, plain lines elsewhere."""

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from kdsearch.config import StudyConfig
from kdsearch.results import EpochMetrics, Stage, TeacherBankRecord, TrialRecord
from kdsearch.study.listener import Listener, StageName
from kdsearch.study.planning.duration import in_words
from kdsearch.study.run import StudyResult

LINE_EVERY_SECONDS = 5.0
TEACHER_KEY = "teacher/"
"""How the keys of teachers begin."""

TITLES = {
    "teachers": "teachers",
    "search": "search",
    "confirm": "confirm",
    "report": "report",
}


class Display(Listener):
    """Counts what a study does and shows it; the one listener of the command line."""

    def __init__(self, config: StudyConfig, console: Console) -> None:
        self._config = config
        self._console = console
        self._live: Live | None = None
        self._progress = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._best: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._told_at = 0.0
        self._left: str = ""
        self._banks: set[str] = set()
        self._members = 0  # trained in stages that are over
        self._finished: set[str] = set()  # keys in the teachers' stage that goes on

    def start(self) -> None:
        """Begin to show, live if there is a terminal."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._render)
            self._live.start()
        self._line(f"study {self._config.name}: {self._config.question_text}")

    def stop(self) -> None:
        """Leave the last state on the screen."""
        if self._live is not None:
            self._live.stop()

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """See `Listener.resumed`."""
        for record in records:
            if record.state != "RUNNING":
                self._count(record)

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """See `Listener.stage`."""
        self._end_teachers()
        self._left = "" if name == "report" else self._left
        if name == "teachers":
            if not total:
                return
            # Each time that some teachers are missing is a stage of its own; the bar sums them.
            self._members, total, done = (n + self._members for n in (total, total, done))
        is_new = name not in self._tasks
        if is_new:
            self._tasks[name] = self._progress.add_task(TITLES[name], total=total)
        if is_new or name == "report":
            self._line(f"{TITLES[name]}: {done} of {total} done")
        self._progress.update(self._tasks[name], total=total, completed=done)

    def epoch(self, key: str, metrics: EpochMetrics) -> None:
        """See `Listener.epoch`."""
        is_teacher = key.startswith(TEACHER_KEY)
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
        self._line(
            f"teachers: {len(bank.members)} x {bank.members[0].model}, "
            f"ensemble validation accuracy {whole.val.accuracy:.1%}"
        )

    def trial(self, record: TrialRecord) -> None:
        """See `Listener.trial`."""
        self._epochs.pop(record.key, None)
        self._progress.advance(self._tasks[record.stage])
        self._count(record)
        if record.state == "FAIL":
            self.warn(f"trial {record.key} failed: {record.failure}")
        self._tell_now_and_then(record.stage)

    def time_left(self, seconds: float) -> None:
        """See `Listener.time_left`."""
        most = "at most " if self._config.study.ladder is not None else ""
        self._left = f"{most}about {in_words(seconds)} left"

    def note(self, text: str) -> None:
        """See `Listener.note`."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
        self._console.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

    def summary(self, result: StudyResult) -> None:
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

    def _count(self, record: TrialRecord) -> None:
        stratum = stratum_label(record)
        counts = self._counts.setdefault(stratum, {})
        state = "confirmed" if record.stage == "confirm" else record.state
        counts[state] = counts.get(state, 0) + 1
        if record.stage == "search" and record.state == "COMPLETE" and record.val is not None:
            self._best[stratum] = max(self._best.get(stratum, 0.0), record.val.accuracy)

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
        return textwrap.fill(kept, self._console.width).replace("\u00a0", " ")

    def _render(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("stratum")
        for column in ("complete", "pruned", "failed", "confirmed", "best val"):
            table.add_column(column, justify="right")
        for stratum, counts in self._counts.items():
            best = self._best.get(stratum)
            table.add_row(
                stratum,
                *(str(counts.get(k, 0)) for k in ("COMPLETE", "PRUNED", "FAIL", "confirmed")),
                "" if best is None else f"{best:.1%}",
            )
        running = f"{len(self._epochs)} in training" if self._epochs else ""
        return Group(self._progress, table, ", ".join(filter(None, (running, self._left))))

    def _tell_now_and_then(self, stage: Stage) -> None:
        if self._live is not None or time.monotonic() - self._told_at < LINE_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        task = self._progress.tasks[self._tasks[stage]]
        best = max(self._best.values(), default=None)
        tail = "" if best is None else f", best validation accuracy so far {best:.1%}"
        tail += self._left and f", {self._left}"
        self._line(f"{TITLES[stage]}: {task.completed:.0f} of {task.total:.0f}{tail}")

    def _line(self, text: str) -> None:
        if self._live is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def stratum_label(record: TrialRecord) -> str:
    """A stratum and arm in words."""
    settings = ", ".join(f"{name} {value}" for name, value in record.stratum.items())
    return f"{record.arm} {settings}".strip()


@contextmanager
def show_run(config: StudyConfig) -> Iterator[Display]:
    """A display for the length of a run."""
    display = Display(config, Console())
    display.start()
    try:
        yield display
    finally:
        display.stop()
