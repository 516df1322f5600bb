"""Everything the report says, computed once from the results."""

from typing import NamedTuple

from kdsearch.analysis.answers.convergence import (
    ConvergenceInfo,
    compute_convergence,
    convergence_sentence,
)
from kdsearch.analysis.answers.data_share import (
    DataShareInfo,
    compute_data_share,
    data_share_sentence,
)
from kdsearch.analysis.answers.ensemble_size import EnsembleSizeInfo, compute_ensemble_size
from kdsearch.analysis.answers.gain import GainInfo, compute_gain
from kdsearch.analysis.answers.grid import GridInfo, compute_grid, grid_sentence
from kdsearch.analysis.answers.ladder import LadderInfo, compute_ladder, ladder_sentence
from kdsearch.analysis.answers.levels import compute_levels, levels_sentence
from kdsearch.analysis.answers.optimum import OptimumInfo, compute_optimum
from kdsearch.analysis.answers.optimum_view import optimum_sentences, region_words
from kdsearch.analysis.answers.pareto import ParetoInfo, compute_pareto
from kdsearch.analysis.answers.saturation import (
    SaturationInfo,
    compute_saturation,
    compute_saturations,
)
from kdsearch.analysis.capacity_curve import CapacityCurveInfo, compute_capacity_curve
from kdsearch.analysis.finding import FindingInfo, compute_finding
from kdsearch.analysis.searching.importance import ImportanceInfo, compute_importance
from kdsearch.analysis.searching.learning_curve import LearningCurveInfo, compute_learning_curve
from kdsearch.analysis.searching.optimization_history import (
    OptimizationHistoryInfo,
    compute_optimization_history,
)
from kdsearch.analysis.searching.rungs import Rung, compute_rungs
from kdsearch.analysis.searching.temperature_alpha import (
    TemperatureAlphaInfo,
    compute_temperature_alpha,
)
from kdsearch.analysis.strata import BudgetInfo, compute_budget, compute_strata
from kdsearch.analysis.stratum import StrataInfo, Stratum
from kdsearch.analysis.teachers import TeachersInfo, compute_teachers
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
    saturations: dict[str, SaturationInfo]
    """By the name of each distilled series; one, unless the study crosses the size with another
    parameter."""
    grid: GridInfo | None
    data_share: DataShareInfo | None
    ladder: LadderInfo | None
    convergence: ConvergenceInfo
    rungs: tuple[Rung, ...]
    finding: FindingInfo
    optimum: OptimumInfo
    temperature_alpha: TemperatureAlphaInfo
    ensemble_size: EnsembleSizeInfo
    importance: ImportanceInfo
    history: OptimizationHistoryInfo
    learning_curve: LearningCurveInfo
    pareto: ParetoInfo | None


def compute_summary(results: Results) -> Summary:
    """Numbers first: nothing here draws or writes."""
    strata, teachers = compute_strata(results), compute_teachers(results)
    gain = compute_gain(strata)
    capacity = compute_capacity_curve(results, strata, teachers)
    saturations = compute_saturations(
        capacity, strata.distilled_luck, tolerance=strata.tolerance, confidence=strata.confidence
    )
    saturation = compute_saturation(capacity, saturations)
    importance = compute_importance(results)
    grid, data_share = compute_grid(strata), compute_data_share(strata)
    ladder = compute_ladder(results, strata)
    convergence = compute_convergence(strata)
    optimum = compute_optimum(results, strata)
    regions = {o.label: region_words(o, optimum) for o in optimum.optima}
    more = (
        levels_sentence(compute_levels(strata)),
        *optimum_sentences(optimum)[:1],
        grid_sentence(grid),
        data_share_sentence(data_share),
        ladder_sentence(ladder),
        convergence_sentence(convergence),
    )
    finding = compute_finding(
        results, strata, teachers, gain, saturation, importance, more, regions
    )
    return Summary(
        results=results,
        strata=strata,
        budget=compute_budget(results),
        teachers=teachers,
        gain=gain,
        capacity=capacity,
        saturation=saturation,
        saturations=saturations,
        grid=grid,
        data_share=data_share,
        ladder=ladder,
        convergence=convergence,
        rungs=compute_rungs(results),
        finding=finding,
        optimum=optimum,
        temperature_alpha=compute_temperature_alpha(results, optimum),
        ensemble_size=compute_ensemble_size(results),
        importance=importance,
        history=compute_optimization_history(results),
        learning_curve=compute_learning_curve(finding.recommended or _first_with_trials(strata)),
        pareto=compute_pareto(results),
    )


def _first_with_trials(info: StrataInfo) -> Stratum | None:
    return next((s for s in info.strata if s.distilled is not None), None)
