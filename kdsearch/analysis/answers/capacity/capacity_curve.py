"""Confirmed students by size: the points of the capacity curve, both arms."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsearch.analysis import wording
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.stratum import Choice, StrataInfo, Stratum
from kdsearch.analysis.teachers import TeachersInfo
from kdsearch.config import applies_to_baseline, changes_student
from kdsearch.results import Arm, Results
from kdsearch.results.pairing import replicate_scores


class SizedEstimate(NamedTuple):
    """One confirmed student."""

    label: str
    width: int
    num_params: int
    macs: int | None
    size_bytes: int | None
    by_replicate: Mapping[int, float]
    """Test score of each replicate, by its number. Sizes are other architectures, so these are
    no pairs."""
    estimate: Estimate
    correct_share: NDArray[np.float64] | None = None
    """Share of the replicates that were right, by test example; None where it was not kept, and
    where the curve is of another metric than accuracy."""
    run_id: str | None = None
    """MLflow's run of its first replicate."""

    @property
    def scores(self) -> tuple[float, ...]:
        """Test scores as a sample."""
        return tuple(self.by_replicate.values())


class Series(NamedTuple):
    """Confirmed students that differ in size only, smallest first."""

    name: str
    arm: Arm
    points: tuple[SizedEstimate, ...]


class ReferenceLine(NamedTuple):
    """The score of a teacher or an ensemble."""

    name: str
    score: float
    is_ensemble: bool


class CapacityCurveInfo(NamedTuple):
    """Both arms by size, beside their teachers."""

    series: tuple[Series, ...]
    references: tuple[ReferenceLine, ...]
    missing: str
    headline: Headline = ACCURACY
    """What the scores are of."""

    @property
    def distilled(self) -> Series | None:
        """The one distilled series, where the study's only axis is the size."""
        distilled = [s for s in self.series if s.arm == "distilled"]
        return distilled[0] if len(distilled) == 1 else None


def compute_capacity_curve(
    results: Results, info: StrataInfo, teachers: TeachersInfo
) -> CapacityCurveInfo:
    """Confirmed score by number of parameters, one series for each further scientific value."""
    groups: dict[tuple[str, Arm], dict[int, SizedEstimate]] = {}
    size = size_parameter(info.scientific)
    for stratum in info.strata:
        rest = {n: v for n, v in stratum.key.items() if n != size}
        own = {n: v for n, v in rest.items() if applies_to_baseline(n)}
        for arm, series, choice in (
            ("distilled", wording.stratum_label(rest), stratum.distilled),
            ("baseline", wording.stratum_label(own), stratum.baseline),
        ):
            point = _point(stratum, choice, info.headline)
            if point is not None:
                groups.setdefault((series, arm), {}).setdefault(point.num_params, point)
    series = tuple(
        Series(name, arm, tuple(points[size] for size in sorted(points)))
        for (name, arm), points in sorted(
            groups.items(), key=lambda item: item[0][1] != "distilled"
        )
    )
    sizes = {p.num_params for s in series for p in s.points}
    return CapacityCurveInfo(
        series=series,
        references=_references(teachers),
        missing=_missing(results, info, sizes),
        headline=info.headline,
    )


def size_parameter(scientific: tuple[str, ...]) -> str | None:
    """The parameter whose values make one curve: the width, else the first of the student's."""
    sizes = [n for n in scientific if changes_student(n)]
    widths = [n for n in sizes if n == "width"]
    return next(iter([*widths, *sizes]), None)


def _point(stratum: Stratum, choice: Choice | None, headline: Headline) -> SizedEstimate | None:
    if choice is None or choice.test_score is None:
        return None
    known = [t for t in (choice.replicates[0], choice.trial) if t.num_params is not None]
    if not known:
        return None
    trial = known[0]
    return SizedEstimate(
        label=stratum.label,
        width=choice.trial.width,
        num_params=trial.num_params or 0,
        macs=trial.macs,
        size_bytes=trial.size_bytes,
        by_replicate=replicate_scores(choice.replicates, headline.metric),
        estimate=choice.test_score,
        correct_share=choice.share_correct if headline.is_accuracy else None,
        run_id=choice.run_id,
    )


def _references(teachers: TeachersInfo) -> tuple[ReferenceLine, ...]:
    """Lines for the one bank of the study; several banks are compared in a table instead."""
    if len(teachers.banks) != 1:
        return ()
    bank, lines = teachers.banks[0], []
    full = bank.full_ensemble
    if full is not None and full.size > 1 and full.test is not None:
        lines.append(ReferenceLine(f"ensemble of {full.size}", full.test, is_ensemble=True))
    if bank.mean_member_test is not None:
        name = "one teacher" if bank.members == 1 else f"one teacher (mean of {bank.members})"
        lines.append(ReferenceLine(name, bank.mean_member_test, is_ensemble=False))
    return tuple(lines)


def _missing(results: Results, info: StrataInfo, sizes: set[int]) -> str:
    if not info.confirmed:
        if results.config.confirm.replicates == 0:
            return "confirm.replicates is 0: the test set stays sealed, so nothing is confirmed."
        return "Nothing is confirmed yet: run the study to its end."
    if len(sizes) < 2:
        return "All confirmed students have the same size: there is no capacity curve."
    return ""
