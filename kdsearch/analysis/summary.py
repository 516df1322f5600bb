"""Everything the report says, computed once from the results."""

from typing import NamedTuple

from kdsearch.analysis.capacity_curve import CapacityCurveInfo, compute_capacity_curve
from kdsearch.analysis.ensemble_size import EnsembleSizeInfo, compute_ensemble_size
from kdsearch.analysis.finding import FindingInfo, compute_finding
from kdsearch.analysis.gain import GainInfo, compute_gain
from kdsearch.analysis.importance import ImportanceInfo, compute_importance
from kdsearch.analysis.learning_curve import LearningCurveInfo, compute_learning_curve
from kdsearch.analysis.optimization_history import (
    OptimizationHistoryInfo,
    compute_optimization_history,
)
from kdsearch.analysis.pareto import ParetoInfo, compute_pareto
from kdsearch.analysis.saturation import SaturationInfo, compute_saturation
from kdsearch.analysis.strata import (
    BudgetInfo,
    StrataInfo,
    Stratum,
    compute_budget,
    compute_strata,
)
from kdsearch.analysis.teachers import TeachersInfo, compute_teachers
from kdsearch.analysis.temperature_alpha import (
    TemperatureAlphaInfo,
    compute_temperature_alpha,
)
from kdsearch.results import Results


class Summary(NamedTuple):
    """The numbers behind every part of the report."""

    results: Results
    strata: StrataInfo
    budget: BudgetInfo
    teachers: TeachersInfo
    gain: GainInfo
    capacity: CapacityCurveInfo
    saturation: SaturationInfo
    finding: FindingInfo
    temperature_alpha: TemperatureAlphaInfo
    ensemble_size: EnsembleSizeInfo
    importance: ImportanceInfo
    history: OptimizationHistoryInfo
    learning_curve: LearningCurveInfo
    pareto: ParetoInfo | None


def compute_summary(results: Results) -> Summary:
    """Numbers first: nothing here draws or writes."""
    strata, teachers = compute_strata(results), compute_teachers(results)
    gain, capacity = compute_gain(strata), compute_capacity_curve(results, strata, teachers)
    study = results.config.study
    saturation = compute_saturation(
        capacity, tolerance=study.tolerance, confidence=study.confidence
    )
    importance = compute_importance(results)
    finding = compute_finding(results, strata, teachers, gain, saturation, importance)
    return Summary(
        results=results,
        strata=strata,
        budget=compute_budget(results),
        teachers=teachers,
        gain=gain,
        capacity=capacity,
        saturation=saturation,
        finding=finding,
        temperature_alpha=compute_temperature_alpha(results),
        ensemble_size=compute_ensemble_size(results),
        importance=importance,
        history=compute_optimization_history(results),
        learning_curve=compute_learning_curve(finding.recommended or _first_with_trials(strata)),
        pareto=compute_pareto(results),
    )


def _first_with_trials(info: StrataInfo) -> Stratum | None:
    return next((s for s in info.strata if s.distilled is not None), None)
