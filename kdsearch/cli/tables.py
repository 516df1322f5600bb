"""Tables that commands print, and the export."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

from kdsearch.analysis import wording
from kdsearch.cli.scoreboard import Scoreboard
from kdsearch.config import Scalar, StudyConfig
from kdsearch.errors import UserInputError
from kdsearch.results import Results, TeacherBankRecord, TeacherRecord, sizes_tried

if TYPE_CHECKING:  # analysis and plan take seconds to import, which most tables do not need
    from kdsearch.analysis.headline import Headline
    from kdsearch.analysis.strata import StrataInfo
    from kdsearch.analysis.stratum import Choice
    from kdsearch.study.planning.plan import StudyPlan
    from kdsearch.study.storage.listing import Standing

WIDE = 1000
"""Columns where no terminal limits them: a file or a pipe gets one line a row."""
ROOM_FOR_QUESTIONS = 140
"""Columns that a list of studies takes to say what each asks."""


def print_plan(plan: "StudyPlan") -> None:
    """What a run would do."""
    rows = [
        ("study", plan.name),
        ("question", plan.question),
        ("data", plan.data),
        ("teachers", plan.teachers),
        (plan.axis, plan.strata),
        ("search trials", plan.search_trials),
        ("confirm runs", plan.confirm_runs),
        ("sampler, pruner", plan.method),
        ("search can tell", plan.resolution),
        ("storage", plan.storage),
        ("estimated time", plan.estimated_time),
    ]
    _print_pairs(rows)


def print_status(results: Results) -> None:
    """How far a study has come."""
    board = Scoreboard(results.config)
    for trial in results.trials:
        board.count(trial)
    _console().print(board.table())
    running = len(results.select(state="RUNNING"))
    training = f"{running} in training" if running else ""
    lines = [", ".join(filter(None, (training, board.losses_in_words()))), board.best_in_words()]
    if results.config.study.ladder is not None:
        lines.append(_climb_in_words(results))
    lines += [f"{t.key} failed: {t.failure}" for t in results.select(state="FAIL")]
    print_sentences([line for line in lines if line])


def print_studies(studies: Sequence["Standing"], console: Console | None = None) -> None:
    """The studies of a storage."""
    console = console or _console()
    asks = ["question"] if console.width >= ROOM_FOR_QUESTIONS else []
    table = _table("study", "state", "students", "last change", "report", *asks)
    for column in table.columns[1:4]:
        column.no_wrap = True
    for study in studies:
        changed, page = study.last_change, study.report
        table.add_row(
            study.name,
            study.state,
            students_in_words(study),
            "" if changed is None else f"{changed:%Y-%m-%d %H:%M}",
            "none here" if page is None else _relative(page.parent),
            *([study.question] if asks else []),
        )
    console.print(table)


def students_in_words(study: "Standing") -> str:
    """`24 of 96`, or `24` where all are there or nobody knows how many there will be."""
    is_whole = study.state == "finished" or study.expected is None
    return str(study.ended) if is_whole else f"{study.ended} of {study.expected}"


MEASURED = 10_000
"""Columns that no table needs."""


def print_best(results: Results, console: Console | None = None) -> None:
    """Best settings of every stratum and arm, and what they reach on test.

    A column for each setting, where the terminal has room for them; else all in one column.
    """
    from kdsearch.analysis.strata import compute_strata

    console = console or _console()
    info = compute_strata(results)
    table = _best_table(results.config, info, console, in_columns=True)
    # Rich measures no more than the width it is given, so that every table would fit.
    room = console.options.update(max_width=MEASURED)
    if console.measure(table, options=room).maximum > console.width:
        table = _best_table(results.config, info, console, in_columns=False)
    console.print(table)
    reached = wording.capitalized(f"test {info.headline.words}")
    note = f"{reached}: mean ± standard error of n students on fresh seeds."
    print_sentences([note], console)


def _best_table(
    config: StudyConfig, info: "StrataInfo", console: Console, *, in_columns: bool
) -> Table:
    scientific = tuple(config.parameters("scientific"))
    is_front = len(config.objective) > 1
    noun = wording.axis_noun(scientific, is_front=is_front)
    named = [noun.one] if scientific or is_front else []
    names = list(config.parameters("nuisance")) + (list(scientific) if is_front else [])
    gap = " " if console.width >= ROOM_FOR_QUESTIONS else "\n"
    heads = [wording.words(n).replace(" ", gap) for n in names] if in_columns else ["settings"]
    accuracy = f"test{gap}{info.headline.words}"
    table = _table(*named, "arm", "trial", accuracy, "n", *heads, gap=1 if gap == "\n" else 2)
    if in_columns:
        for column in table.columns:
            column.no_wrap = True
    for stratum in info.strata:
        point = [_point(stratum.label, scientific)] if named else []
        for arm, choice in (("distilled", stratum.distilled), ("hard labels", stratum.baseline)):
            if choice is None:
                continue
            used = choice.trial.settings
            settings = {n: used[n] for n in names if n in used}
            if arm != "distilled":
                settings.pop("alpha", None)
            cells = [wording.scalar(settings.get(n)) for n in names]
            cells = cells if in_columns else [_settings(settings)]
            estimate = choice.test_score
            number = "" if estimate is None else str(estimate.n)
            who = (arm, str(choice.trial.trial), _reached(choice, info.headline), number)
            table.add_row(*point, *who, *cells)
    return table


def print_bank(bank: TeacherBankRecord) -> None:
    """The members of a bank and their ensembles."""
    table = _table("teachers", "validation accuracy")
    for member in bank.members:
        table.add_row(f"member {member.member}: {member.model}", f"{member.val.accuracy:.2%}")
    for ensemble in bank.ensembles[1:]:
        table.add_row(f"ensemble of {ensemble.size}", f"{ensemble.val.accuracy:.2%}")
    _console().print(table)


def print_teachers(teachers: Sequence[TeacherRecord], cache: Path) -> None:
    """The teachers in the cache."""
    table = _table("key", "model", "parameters", "epochs", "seconds", "validation accuracy")
    for t in teachers:
        numbers = (f"{t.num_params:,}", str(t.epochs), f"{t.train_seconds:.1f}")
        table.add_row(t.key[:12], t.model, *numbers, f"{t.val.accuracy:.2%}")
    _console().print(table)
    _console().print(f"{len(teachers)} teachers in {cache / 'teachers'}", soft_wrap=True)


def print_sentences(sentences: Sequence[str], console: Console | None = None) -> None:
    """Sentences, one a line."""
    console = console or _console()
    for sentence in sentences:  # between words on a terminal, and on one line elsewhere
        is_wrapped = console.is_terminal
        console.print(sentence, markup=False, highlight=False, soft_wrap=not is_wrapped)


def export_table(
    results: Results, table_format: Literal["csv", "json", "parquet"], out: Path | None
) -> None:
    """Write the results table to a file or standard output."""
    from kdsearch.analysis import results_table, write_table

    table = results_table(results)
    if out is not None:
        try:
            write_table(table, out, table_format)
        except OSError as error:
            raise UserInputError(f"{out} cannot be written: {error.strerror or error}") from error
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        write_table(table, path, table_format)
        sys.stdout.buffer.write(path.read_bytes())


def _climb_in_words(results: Results) -> str:
    """Which sizes a ladder has tried, in that order, and what comes next."""
    from kdsearch.results.tolerance import with_absolute_tolerance
    from kdsearch.study.ladder import climb

    ladder = results.config.study.ladder
    assert ladder is not None
    tried = sizes_tried(results.config, results.trials)
    config = with_absolute_tolerance(results.config, results.banks, "val")
    now = climb(config, ladder, results.trials)
    new = [size for size in now.sizes if size not in tried]
    ahead = f"next {', '.join(map(str, new))}" if new else "the last in training"
    words = results.config.headline.words
    line = f"ladder: {ladder.parameter} {', '.join(map(str, tried)) or 'not begun'}"
    match now.state:
        case "climbing":
            return f"{line}; not saturated yet, {ahead}"
        case "refining":
            return f"{line}; saturates near {now.saturation:.3g}, looking closer: {ahead}"
        case "saturated":
            return f"{line}; saturates near {now.saturation:.3g}, by validation {words}"
        case "at_max":
            return f"{line}; not saturated at its end, {ladder.max}"


def _reached(choice: "Choice", headline: "Headline") -> str:
    estimate = choice.test_score
    if estimate is None:
        return "unconfirmed"
    if not headline.is_accuracy:
        return headline.estimate(estimate, 2)
    error = "" if estimate.se is None else f" ± {estimate.se:.2%}"
    return f"{estimate.mean:.2%}{error}"


def _settings(settings: Mapping[str, Scalar]) -> str:
    return ", ".join(
        f"{wording.words(name)} {wording.scalar(value)}" for name, value in settings.items()
    )


def _point(label: str, scientific: Sequence[str]) -> str:
    """A stratum's label without the name that is the column's head."""
    return label.removeprefix(f"{wording.leaf(scientific[0])} ") if len(scientific) == 1 else label


def _relative(path: Path) -> str:
    """As short as the current folder allows."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _table(*columns: str, gap: int = 2) -> Table:
    table = Table(box=None, padding=(0, gap, 0, 0), show_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _print_pairs(rows: Sequence[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(name, value)
    _console().print(table)
