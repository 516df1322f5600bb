"""Rebuilding a study's results from its storage."""

from collections import Counter
from pathlib import Path

from kdsearch.config import StudyConfig
from kdsearch.errors import KdsearchError
from kdsearch.results import Arm, Results, TrialRecord
from kdsearch.results.pareto import pareto_front
from kdsearch.study.storage.database import DEFAULT_STORAGE
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.lookup import open_ledger


def load_results(
    study: str | StudyConfig, *, storage: str = DEFAULT_STORAGE, derived: bool = True
) -> Results:
    """Everything a study has found so far.

    Args:
        study: Its name, or its configuration, which also says where it is stored.
        storage: Optuna storage URL, if `study` is a name.
        derived: Work out importance and Pareto front as well, which takes seconds; without, they
            are empty.

    Raises:
        UnknownStudyError: There is no such study; says which there are.
    """
    if isinstance(study, StudyConfig):
        study, storage = study.name, study.storage
    return results_of(open_ledger(study, storage), derived=derived)


def results_of(ledger: Ledger, *, derived: bool = True) -> Results:
    """The results that a ledger holds. See `load_results` for `derived`."""
    config, records = ledger.config, ledger.records()
    importance: dict[str, float] = {}
    front: tuple[int, ...] = ()
    chosen: tuple[tuple[Arm, int], ...] = ()
    if derived:
        # They bring SciPy along, and analysis pandas.
        from kdsearch.study.confirm import chosen_trials
        from kdsearch.study.proposal.importance import parameter_importance

        importance = parameter_importance(config, records)
        front = _searched_front(config, records)
        chosen = tuple((r.arm, r.trial) for r in chosen_trials(config, records))
    return Results(
        config=config,
        trials=records,
        banks=ledger.banks(),
        importance=importance,
        pareto=front,
        chosen=chosen,
        command=ledger.command,
    )


def refuse_all_failed(results: Results, report: Path) -> None:
    """Make sure that a study which has ended found anything.

    Raises:
        KdsearchError: Every trial failed; says how many, and why most of them did.
    """
    if not results.trials or any(trial.state != "FAIL" for trial in results.trials):
        return
    reasons = Counter(trial.failure or "unknown" for trial in results.trials)
    reason, count = reasons.most_common(1)[0]
    raise KdsearchError(
        f"all {len(results.trials)} trials of study {results.config.name} failed, {count} of them "
        f"because: {reason}; mend that and give the study another name, since failed trials are "
        f"not trained again (report: {report})"
    )


def _searched_front(config: StudyConfig, records: tuple[TrialRecord, ...]) -> tuple[int, ...]:
    if len(config.objective) < 2:
        return ()
    searched = [
        r
        for r in records
        if r.stage == "search" and r.arm == "distilled" and r.state == "COMPLETE"
    ]
    return tuple(r.trial for r in pareto_front(searched, config.objective))
