"""Which students the saved views show where there are more than a page of MLflow holds."""

from collections.abc import Sequence
from typing import NamedTuple

from kdsearch.config import StudyConfig
from kdsearch.results import Arm, Stage, TrialRecord, confirmed_choice
from kdsearch.results.score import signed_value
from kdsearch.tracking.mlflow.pages.charts import MAX_RUNS

Lane = tuple[Stage, Arm]
"""A stage and an arm."""


class Shown(NamedTuple):
    """What is to be seen of a study."""

    marked: frozenset[Lane]
    """Stages and arms of which some students are left out."""
    keys: frozenset[str]
    """Keys of the students of these that are to be seen."""


def choose_shown(
    config: StudyConfig, records: Sequence[TrialRecord], *, limit: int = MAX_RUNS
) -> Shown:
    """The students to show, such that every stratum is there.

    Of an arm's search the best of each stratum; of the confirm stage, whose view holds both arms,
    the runs of the settings that were chosen, for the means of all candidates are nobody's.

    Args:
        config: The study.
        records: All of its students.
        limit: The most that one view may hold.
    """
    marked: set[Lane] = set()
    keys: set[str] = set()
    complete = [r for r in records if r.state == "COMPLETE"]
    for lanes in _views(records):
        own = [r for r in complete if (r.stage, r.arm) in lanes]
        ranks = _ranks(config, own, records)
        # By rank first: the best of each stratum, then the second of each, and so on.
        kept = [r for _, r in sorted(ranks, key=lambda pair: pair[0])][:limit]
        if len(kept) < len(own):
            marked |= lanes
            keys |= {record.key for record in kept}
    return Shown(frozenset(marked), frozenset(keys))


def _views(records: Sequence[TrialRecord]) -> list[set[Lane]]:
    """The lanes that share a view."""
    arms = {r.arm for r in records}
    stages: tuple[Stage, ...] = ("search", "confirm")
    search, confirm = ({(stage, arm) for arm in arms} for stage in stages)
    return [*({lane} for lane in sorted(search)), confirm]


def _ranks(
    config: StudyConfig, own: Sequence[TrialRecord], records: Sequence[TrialRecord]
) -> list[tuple[int, TrialRecord]]:
    """Each student's place within its stratum, 0 for the first; those not chosen are left out."""
    groups: dict[tuple[object, ...], list[TrialRecord]] = {}
    for record in own:
        group = (record.stage, record.arm, *record.stratum.items())
        groups.setdefault(group, []).append(record)
    ranks: list[tuple[int, TrialRecord]] = []
    for group in groups.values():
        first = group[0]
        if first.stage == "confirm":
            lane = [r for r in records if (r.arm, r.stratum) == (first.arm, first.stratum)]
            group = _chosen(config, group, lane)
        ranks += enumerate(sorted(group, key=lambda r: _merit(config, r)))
    return ranks


def _chosen(
    config: StudyConfig, runs: list[TrialRecord], lane: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Of one stratum's and arm's confirm runs those of the settings that count."""
    if len(config.objective) > 1:
        return runs
    choice = confirmed_choice(lane, config.objective[0])
    return [r for r in runs if choice is None or r.trial == choice.trial]


def _merit(config: StudyConfig, record: TrialRecord) -> tuple[float, int]:
    """Orders the students of a stratum: the best of the search, the first replicates."""
    if record.stage == "confirm":
        return 0.0, record.replicate
    value = signed_value(record, config.objective[0])
    return (float("inf") if value is None else -value), record.trial
