"""The strata of a study as far as it has come."""

from collections.abc import Iterable

from kdsearch.config import Scalar, StudyConfig
from kdsearch.results.record import TrialRecord


def strata_of(config: StudyConfig, trials: Iterable[TrialRecord]) -> tuple[dict[str, Scalar], ...]:
    """The strata that a study asks about: of its file, or those its ladder has tried, by size.

    Args:
        config: The study.
        trials: Its records; needed by a study with a ladder only.
    """
    ladder = config.study.ladder
    if ladder is None:
        return config.strata()
    return tuple({ladder.parameter: size} for size in sorted(sizes_tried(config, trials)))


def sizes_tried(config: StudyConfig, trials: Iterable[TrialRecord]) -> tuple[int, ...]:
    """The sizes of the ladder's parameter in the order they were first tried."""
    ladder = config.study.ladder
    assert ladder is not None
    searched = (t for t in trials if t.stage == "search" and t.arm == "distilled")
    ordered = sorted(searched, key=lambda trial: trial.trial)
    return tuple(dict.fromkeys(int(trial.stratum[ladder.parameter]) for trial in ordered))
