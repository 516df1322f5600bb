"""The difference in the headline metric that a study calls none."""

from collections.abc import Sequence
from typing import Literal

from kdsearch.config import StudyConfig
from kdsearch.results.headline import is_accuracy_like, score
from kdsearch.results.record import TeacherBankRecord

UNKNOWN = 0.005
"""While no teacher's error is known that it could be a share of."""
BOUNDS = (0.0001, 0.49)
"""Of a share that is turned into a difference; only fractions have the upper one."""


def absolute_tolerance(
    config: StudyConfig, banks: Sequence[TeacherBankRecord], split: Literal["val", "test"]
) -> float:
    """As the study gives it, or its share of what the best full ensemble is away from perfect.

    That is its errors, 1 less its value, where the headline metric is a fraction that is
    maximised; for any other metric it is the size of its own value.

    Args:
        config: The study.
        banks: Its teachers, as far as they are trained.
        split: Where they are judged; on test as far as that has been opened.
    """
    tolerance = config.study.tolerance
    if isinstance(tolerance, float):
        return tolerance
    full = [bank.ensembles[-1] for bank in banks if bank.ensembles]
    metric = config.headline
    judged = [e.test if split == "test" and e.test is not None else e.val for e in full]
    found = [value for e in judged if (value := score(e, metric)) is not None]
    if not found:
        return UNKNOWN
    best = max(found)
    away = 1.0 - best if is_accuracy_like(metric) else abs(best)
    low, high = BOUNDS
    share = max(away * float(tolerance.removesuffix("%")) / 100, low)
    return min(share, high) if metric.unit == "fraction" else share


def with_absolute_tolerance(
    config: StudyConfig, banks: Sequence[TeacherBankRecord], split: Literal["val", "test"]
) -> StudyConfig:
    """The study with its tolerance as a difference."""
    study = config.study.model_copy(update={"tolerance": absolute_tolerance(config, banks, split)})
    return config.model_copy(update={"study": study})
