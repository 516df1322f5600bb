"""Rebuilding a study's results from its storage."""

from kdsearch.config import StudyConfig
from kdsearch.results import Results
from kdsearch.study.database import DEFAULT_STORAGE, connect_existing, study_names
from kdsearch.study.importance import parameter_importance
from kdsearch.study.ledger import Ledger
from kdsearch.study.pareto import pareto_front


def load_results(study: str | StudyConfig, *, storage: str = DEFAULT_STORAGE) -> Results:
    """Everything a study has found so far.

    Args:
        study: Its name, or its configuration, which also says where it is stored.
        storage: Optuna storage URL, if `study` is a name.

    Raises:
        UnknownStudyError: There is no such study.
    """
    if isinstance(study, StudyConfig):
        study, storage = study.name, study.storage
    return results_of(Ledger(connect_existing(storage), study))


def results_of(ledger: Ledger) -> Results:
    """The results that a ledger holds."""
    config, records = ledger.config, ledger.records()
    front: list[int] = []
    if len(config.objective) > 1:
        searched = [
            r
            for r in records
            if r.stage == "search" and r.arm == "distilled" and r.state == "COMPLETE"
        ]
        front = [r.trial for r in pareto_front(searched, config.objective)]
    return Results(
        config=config,
        trials=records,
        banks=ledger.banks(),
        importance=parameter_importance(config, records),
        pareto=tuple(front),
        command=ledger.command,
    )


def list_results(storage: str = DEFAULT_STORAGE) -> list[Results]:
    """All studies of a storage, oldest first.

    Raises:
        UnknownStudyError: There is no storage.
    """
    opened = connect_existing(storage)
    return [results_of(Ledger(opened, name)) for name in study_names(opened)]
