"""The table of every trained student, which the page sorts and searches."""

from collections.abc import Callable, Sequence

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.results import TrialRecord
from kdsearch.results.record import Evaluation

NAMED = 4
"""Columns that say who a student is."""
MOST = 1500
"""Rows; a page of more would pass a megabyte and a half."""
_STAGES = {"confirm": 0, "search": 1}
_ARMS = {"distilled": "distilled", "baseline": "hard labels"}
_NAMES = {"temperature": "T", "ensemble_size": "Teachers", "learning_rate": "Rate"}


def students_shown(context: Context) -> tuple[TrialRecord, ...]:
    """Confirmed students first, each stage in the order of its trials; at most `MOST`."""
    ended = [t for t in context.results.trials if t.state != "RUNNING"]
    ended.sort(key=lambda t: (_STAGES[t.stage], t.arm == "baseline", t.trial, t.replicate))
    return tuple(ended[:MOST])


def students_table(context: Context, shown: Sequence[TrialRecord]) -> Table:
    """One row a student; columns in which all say the same, or nothing, are left out."""
    every = _columns(context, shown)
    columns = dict(every[:NAMED]) | {n: cells for n, cells in every if len({*cells}) > 1}
    rows = zip(*columns.values(), strict=True)
    total = sum(t.state != "RUNNING" for t in context.results.trials)
    more = f" The other {total - len(shown):,} are in results.csv." if total > len(shown) else ""
    caption = f"Search values are of one seed, on validation, and no results.{more}"
    return Table(tuple(columns), tuple(rows), text_columns=NAMED, caption=caption)


def _columns(context: Context, shown: Sequence[TrialRecord]) -> list[tuple[str, tuple[str, ...]]]:
    headline = context.strata.headline
    searched = [n for n, p in context.results.config.space.items() if p.role != "fixed"]

    def column(cell: Callable[[TrialRecord], str]) -> tuple[str, ...]:
        return tuple(cell(t) for t in shown)

    def setting(name: str) -> Callable[[TrialRecord], str]:
        return lambda t: wording.scalar(t.settings[name]) if name in t.settings else ""

    def score(evaluation: Evaluation | None) -> str:
        value = headline.of(evaluation)
        return "" if value is None else headline.bare_value(value, 2)

    def seconds(t: TrialRecord) -> str:
        return "" if t.train_seconds is None else f"{t.train_seconds:.1f}"

    settings = [
        (_NAMES.get(n, wording.capitalized(wording.words(n))), column(setting(n)))
        for n in searched
    ]
    return [
        ("Student", column(_student)),
        ("Stage", column(lambda t: t.stage)),
        ("Arm", column(lambda t: _ARMS[t.arm])),
        ("State", column(lambda t: t.state.lower())),
        *settings,
        ("Parameters", column(lambda t: "" if t.num_params is None else str(t.num_params))),
        ("Epochs", column(lambda t: str(t.epochs))),
        ("Seconds", column(seconds)),
        (f"Val {headline.words}{headline.in_unit}", column(lambda t: score(t.val))),
        (f"Test {headline.words}{headline.in_unit}", column(lambda t: score(t.test))),
        ("Why it failed", column(lambda t: t.failure or "")),
    ]


def _student(t: TrialRecord) -> str:
    again = f".{t.replicate}" if t.stage == "confirm" else ""
    return f"{t.trial}{again}"
