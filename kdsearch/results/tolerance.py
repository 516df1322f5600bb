"""The difference in accuracy that a study calls none."""

from collections.abc import Sequence
from typing import Literal

from kdsearch.config import StudyConfig
from kdsearch.results.record import TeacherBankRecord

UNKNOWN = 0.005
"""While no teacher's error is known that it could be a share of."""
BOUNDS = (0.0001, 0.49)


def absolute_tolerance(
    config: StudyConfig, banks: Sequence[TeacherBankRecord], split: Literal["val", "test"]
) -> float:
    """A fraction: as the study gives it, or its share of the errors of the best full ensemble.

    Args:
        config: The study.
        banks: Its teachers, as far as they are trained.
        split: Where their errors are counted; on test as far as that has been opened.
    """
    tolerance = config.study.tolerance
    if isinstance(tolerance, float):
        return tolerance
    full = [bank.ensembles[-1] for bank in banks if bank.ensembles]
    found = [e.test if split == "test" and e.test is not None else e.val for e in full]
    if not found:
        return UNKNOWN
    error = 1.0 - max(evaluation.accuracy for evaluation in found)
    low, high = BOUNDS
    return min(max(error * float(tolerance.removesuffix("%")) / 100, low), high)


def with_absolute_tolerance(
    config: StudyConfig, banks: Sequence[TeacherBankRecord], split: Literal["val", "test"]
) -> StudyConfig:
    """The study with its tolerance as a fraction."""
    study = config.study.model_copy(update={"tolerance": absolute_tolerance(config, banks, split)})
    return config.model_copy(update={"study": study})
