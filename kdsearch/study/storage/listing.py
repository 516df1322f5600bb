"""The studies of a storage, and how far each has come."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from kdsearch.results import Results, strata_of
from kdsearch.study.proposal.lane import lane_budget, lane_candidates, lanes_of
from kdsearch.study.storage.database import (
    DEFAULT_STORAGE,
    connect_existing,
    sqlite_file,
    study_names,
)
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.lock import is_held
from kdsearch.study.storage.outcome import results_of
from kdsearch.study.storage.paths import StudyPaths

StandingState = Literal["running", "finished", "stopped"]


@dataclass(frozen=True)
class Standing:
    """How far a study has come."""

    name: str
    question: str
    state: StandingState
    """`stopped` is neither running here nor known to have come to its end."""
    ended: int
    """Students whose training has ended."""
    expected: int | None
    """Students that the study is to have, as far as one can say; None with a ladder."""
    last_change: datetime | None
    """When a student last began or ended, in local time."""
    report: Path | None
    """The page that was written last, if it is in this folder."""


def list_studies(storage: str = DEFAULT_STORAGE, *, root: Path) -> list[Standing]:
    """All studies of a storage, oldest first.

    Args:
        storage: Optuna storage URL.
        root: The folder where their reports and locks are looked for.

    Raises:
        UnknownStudyError: There is no storage.
    """
    opened = connect_existing(storage)
    return [standing_of(Ledger(opened, name), storage, root) for name in study_names(opened)]


def standing_of(ledger: Ledger, storage: str, root: Path) -> Standing:
    """How far the study of a ledger has come. See `list_studies`."""
    results = results_of(ledger, derived=False)
    paths = StudyPaths(root, ledger.name)
    state: StandingState = "finished" if ledger.is_finished else "stopped"
    if is_held(paths, sqlite_file(storage)):
        state = "running"
    page = paths.report / "report.html"
    return Standing(
        name=ledger.name,
        question=results.config.question_text,
        state=state,
        ended=sum(trial.state != "RUNNING" for trial in results.trials),
        expected=expected_students(results),
        last_change=ledger.last_change,
        report=page if page.exists() else None,
    )


def expected_students(results: Results) -> int | None:
    """Students of search and confirm together; None where that depends on what is found."""
    config = results.config
    if config.study.ladder is not None or len(config.objective) > 1:
        return None
    lanes = lanes_of(config, strata_of(config, results.trials))
    replicates = config.confirm.replicates
    return sum(lane_budget(config, e) + lane_candidates(config, e) * replicates for e in lanes)
