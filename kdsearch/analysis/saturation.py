"""At which size more capacity stops paying, if the study can say."""

from typing import NamedTuple

from kdsearch.analysis.capacity_curve import CapacityCurveInfo


class SaturationInfo(NamedTuple):
    """The verdict on the capacity curve."""

    verdict: str
    """`saturated`, `not_saturated`, `undetermined` or `not_asked`."""
    reason: str
    clause: str
    """The verdict as the end of a sentence; empty where it was not asked."""


def compute_saturation(info: CapacityCurveInfo) -> SaturationInfo:
    """Whether and where the distilled students' accuracy saturates."""
    if info.missing or info.distilled is None:
        reason = info.missing or "The study crosses the size with another scientific parameter."
        return SaturationInfo("not_asked", reason, "")
    return SaturationInfo("undetermined", "No curve was fitted.", "")
