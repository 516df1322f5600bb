"""What a running study shows: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
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
    TimeRemainingColumn,
)
from rich.table import Table

from kdsearch.config import StudyConfig
from kdsearch.results import EpochMetrics, TeacherBankRecord, TrialRecord
from kdsearch.study.listener import StageName
from kdsearch.study.run import StudyResult

LINE_EVERY_SECONDS = 5.0

TITLES = {
    "teachers": "teachers",
    "search": "search",
    "confirm": "confirm",
    "report": "report",
}


class Display:
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
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stage: StageName = "teachers"
        self._counts: dict[str, dict[str, int]] = {}
        self._best: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._told_at = 0.0

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

    def stage(self, name: StageName, *, total: int, done: int) -> None:
        """See `Listener.stage`."""
        self._stage = name
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(TITLES[name], total=total)
            self._line(f"{TITLES[name]}: {done} of {total} done")
        self._progress.update(self._tasks[name], total=total, completed=done)

    def epoch(self, row: str, metrics: EpochMetrics) -> None:
        """See `Listener.epoch`."""
        self._epochs[row] = metrics.epoch

    def teacher(self, bank: TeacherBankRecord) -> None:
        """See `Listener.teacher`."""
        if "teachers" in self._tasks:
            self._progress.update(self._tasks["teachers"], completed=len(bank.members))
        whole = bank.ensembles[-1]
        self._line(
            f"teachers: {len(bank.members)} x {bank.members[0].model}, "
            f"ensemble validation accuracy {whole.val.accuracy:.1%}"
        )

    def trial(self, record: TrialRecord) -> None:
        """See `Listener.trial`."""
        self._epochs.pop(record.key, None)
        self._progress.advance(self._tasks[self._stage])
        stratum = stratum_label(record)
        counts = self._counts.setdefault(stratum, {})
        state = "confirmed" if record.stage == "confirm" else record.state
        counts[state] = counts.get(state, 0) + 1
        if record.stage == "search" and record.state == "COMPLETE" and record.val is not None:
            self._best[stratum] = max(self._best.get(stratum, 0.0), record.val.accuracy)
        if record.state == "FAIL":
            self.warn(f"trial {record.key} failed: {record.failure}")
        self._tell_now_and_then()

    def note(self, text: str) -> None:
        """See `Listener.note`."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """See `Listener.warn`."""
        self._console.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)

    def summary(self, result: StudyResult) -> None:
        """Print what was found and where it is."""
        for sentence in (*result.report.finding, result.report.recommendation):
            self._console.print(sentence, markup=False, highlight=False)
        self._console.print(
            f"\n{result.new_trials} students trained in this run. Report: {result.report.html}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

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
        return Group(self._progress, table, running)

    def _tell_now_and_then(self) -> None:
        if self._live is not None or time.monotonic() - self._told_at < LINE_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        task = self._progress.tasks[self._tasks[self._stage]]
        best = max(self._best.values(), default=None)
        tail = "" if best is None else f", best validation accuracy so far {best:.1%}"
        left = task.time_remaining
        tail += "" if left is None else f", about {left:.0f} s left"
        self._line(f"{TITLES[self._stage]}: {task.completed:.0f} of {task.total:.0f}{tail}")

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
