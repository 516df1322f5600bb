"""A scientific parameter other than size: which of its values are as good as the best.

All values are compared with the one that validation picks, and all at once (Holm): the ends of a
range may agree while its middle is better.
"""

import math
from typing import NamedTuple

from scipy import stats

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answer
from kdsearch.analysis.answers.capacity.capacity_curve import size_parameter
from kdsearch.analysis.comparison import compare
from kdsearch.analysis.context import Context
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.statistics.joint import holm
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.results.record import Scalar

ELSEWHERE = "data.train_fraction"
"""Has a question of its own in the report."""


class Level(NamedTuple):
    """One value beside the best."""

    label: str
    value: Scalar
    estimate: Estimate
    """Test score less that of the best value; luck of both searches in its interval."""
    is_worse: bool
    """Shown to be, for all values together."""


class LevelsInfo(NamedTuple):
    """The values of the one scientific parameter."""

    parameter: str
    best: Stratum
    """Picked by validation."""
    levels: tuple[Level, ...]
    """The others, in the order of the study."""
    confidence: float
    headline: Headline = ACCURACY
    """What the scores are of."""


def compute_levels(info: StrataInfo) -> LevelsInfo | None:
    """Every value against the best; None where that is not what the study asks."""
    if len(info.scientific) != 1 or size_parameter(info.scientific) is not None:
        return None
    if info.scientific[0] == ELSEWHERE:
        return None
    known = [s for s in info.confirmed if s.distilled and s.distilled.val_score is not None]
    if len(known) < 2:
        return None
    best = max(known, key=_validation)
    others = [s for s in known if s is not best]
    nowhere = [None] * len(others)
    beside = [(_choice(s), _choice(best)) for s in others]
    found: list[tuple[Stratum, Estimate, float]] = []
    for stratum, own in zip(others, compare(beside, nowhere, info.headline.metric), strict=True):
        if own is None or min(part.dof for part in own.parts) == 0:
            continue
        estimate, dof = own.estimate([info.distilled_luck] * 2, info.confidence)
        below = estimate.mean / estimate.se if estimate.se else math.nan
        found.append((stratum, estimate, float(stats.t.cdf(below, dof))))
    worse = holm([p for _, _, p in found], (1 - info.confidence) / 2)
    levels = tuple(
        Level(s.label, s.key[info.scientific[0]], estimate, is_worse)
        for (s, estimate, _), is_worse in zip(found, worse, strict=True)
    )
    if not levels:
        return None
    return LevelsInfo(info.scientific[0], best, levels, info.confidence, info.headline)


def _validation(stratum: Stratum) -> float:
    assert stratum.distilled is not None
    assert stratum.distilled.val_score is not None
    return stratum.distilled.val_score


def _choice(stratum: Stratum) -> Choice:
    assert stratum.distilled is not None
    return stratum.distilled


def levels_sentence(info: LevelsInfo | None) -> str:
    """Which values are worse than the best and which are not shown to be; empty without any."""
    if info is None:
        return ""
    worse = [_with_amount(level, info.headline) for level in info.levels if level.is_worse]
    rest = [_with_amount(level, info.headline) for level in info.levels if not level.is_worse]
    clauses = []
    if worse:
        clauses.append(f"{wording.listing(worse)} {'is' if len(worse) == 1 else 'are'} worse")
    if rest:
        verb = "is" if len(rest) == 1 else "are"
        clauses.append(f"{wording.listing(rest)} {verb} not shown to be worse")
    n = wording.span([level.estimate.n for level in info.levels])
    return (
        f"Validation picks {info.best.label}; {', '.join(clauses)} (all at once with "
        f"{wording.level(info.confidence)} confidence, n = {n} replicates)."
    )


def _with_amount(level: Level, headline: Headline) -> str:
    return f"{level.label} ({headline.shift_words(level.estimate)})"


def levels_lead(info: LevelsInfo, tolerance: float) -> str:
    """The least value that is shown to be enough, or that smaller ones are not.

    Values are tried from the best one down and the first that may give up more than the tolerance
    ends it, so that no correction for several is due.

    Args:
        info: The values beside the best.
        tolerance: What may be given up, as a difference of scores.
    """
    best = info.best.key[info.parameter]
    name, headline = wording.words(info.parameter), info.headline
    below = [(v, e) for v, e in ((level.value, level.estimate) for level in info.levels)
             if _is_below(v, best) and e.low is not None]  # fmt: skip
    if not below or isinstance(best, bool | str):
        return levels_sentence(info)
    enough: tuple[Scalar, Estimate] | None = None
    for value, estimate in sorted(below, key=lambda pair: float(pair[0]), reverse=True):
        if estimate.low is None or estimate.low < -tolerance:
            break
        enough = value, estimate
    level = wording.level(info.confidence)
    if enough is not None:
        value, estimate = enough
        gives = headline.gained(max(-(estimate.low or 0.0), 0.0))
        return (
            f"{wording.capitalized(name)} {wording.scalar(value)} is enough: against "
            f"{wording.scalar(best)}, which validation picks, it gives up at most "
            f"{gives}{headline.points} ({level}, n = {estimate.n} replicates)."
        )
    value, estimate = max(below, key=lambda pair: float(pair[0]))
    return (
        f"{wording.capitalized(name)} {wording.scalar(best)} is the best by validation, and no "
        f"smaller one is shown to be enough: {wording.scalar(value)} differs by "
        f"{headline.shift_words(estimate)} {headline.shift_interval(estimate)} ({level}, "
        f"n = {estimate.n} replicates)."
    )


def _is_below(value: Scalar, best: Scalar) -> bool:
    numbers = (isinstance(v, int | float) and not isinstance(v, bool) for v in (value, best))
    return all(numbers) and float(value) < float(best)


class _Levels(Answer[LevelsInfo]):
    """One scientific parameter other than the size: a sentence."""

    name = "levels"
    asked = ("ensemble_size", "levels")
    finding_rank = 30

    def compute(self, context: Context) -> LevelsInfo | None:
        return compute_levels(context.strata)

    def lead(self, info: LevelsInfo, context: Context) -> str:
        return levels_lead(info, context.strata.tolerance)

    def sentences(self, info: LevelsInfo, context: Context) -> tuple[str, ...]:
        return (levels_sentence(info),)


LEVELS = _Levels()
