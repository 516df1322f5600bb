"""results.json: what the report says beyond strata and teachers, for programs."""

from typing import Any

from kdsearch.analysis.answers.convergence import SHARE, ConvergenceInfo
from kdsearch.analysis.answers.data_share import DataShareInfo
from kdsearch.analysis.answers.grid import GridInfo
from kdsearch.analysis.answers.ladder import LadderInfo
from kdsearch.analysis.answers.optimum import OptimumInfo, Regret
from kdsearch.analysis.answers.saturation import saturation_document
from kdsearch.analysis.estimate import Estimate
from kdsearch.analysis.summary import Summary


def answer_documents(summary: Summary) -> dict[str, Any]:
    """JSON-ready, by key; null where the study does not ask or cannot say."""
    several = len(summary.saturations) > 1
    return {
        "saturation_by_series": {
            name: saturation_document(info) for name, info in summary.saturations.items()
        }
        if several
        else None,
        "grid": _grid(summary.grid),
        "optimum": _optimum(summary.optimum),
        "data_share": _data_share(summary.data_share),
        "convergence": _convergence(summary.convergence),
        "ladder": _ladder(summary.ladder),
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate._asdict()


def _grid(info: GridInfo | None) -> dict[str, Any] | None:
    if info is None or info.missing:
        return None
    return {
        "rows": info.rows,
        "columns": info.columns,
        "cells": [
            {info.rows: row, info.columns: column, "test_accuracy": _estimate(cell.estimate)}
            for (row, column), cell in info.cells.items()
        ],
        "effects": [
            {info.rows: e.row, "last_minus_first": _estimate(e.estimate), "verdict": e.verdict}
            for e in info.effects
        ],
        "effect_in_first_row_minus_last": _estimate(info.interaction),
        "paired": info.paired,
    }


def _optimum(info: OptimumInfo) -> dict[str, Any] | None:
    if info.missing:
        return None
    return {
        "strata": [
            {
                "label": o.label,
                "size": o.size,
                "trials": o.num_trials,
                **{target: at._asdict() for target, at in o.located.items()},
                "region": {
                    "holds_the_best_with_confidence": info.confidence,
                    "share_of_range": o.region.share,
                    "rectangle": {t: list(ends) for t, ends in o.box.items()},
                    "costs_at_most": o.region.cost,
                    "is_within_tolerance": o.region.is_safe,
                    "mask": o.region.mask.squeeze().tolist(),
                },
                "best": o.best,
                "serves_neighbours": o.serves,
                "cost_of_random_pair": o.region.cost_of_chance,
                "cost_of_worst_pair": o.region.cost_of_worst,
                "at_edge_of_range": [e._asdict() for e in o.edges],
                "regret": _regret(o.regret),
            }
            for o in info.optima
        ],
        "map_axes": {target: values.tolist() for target, values in info.axes.items()},
        "trends": {
            t.target: {
                "per_doubling": t.change, "low": t.low, "high": t.high,
                "num_sizes": t.num_sizes, "verdict": t.verdict,
            }
            for t in info.trends
        },
        "one_setting": info.shared,
        "regret_of_one_setting": _regret(info.regret),
    }  # fmt: skip


def _regret(regret: Regret | None) -> dict[str, float] | None:
    return None if regret is None else regret._asdict()


def _data_share(info: DataShareInfo | None) -> list[dict[str, Any]] | None:
    if info is None or info.missing:
        return None
    return [
        {
            "label": curve.label,
            "shares": [
                {
                    "fraction": s.fraction,
                    "distilled": _estimate(s.distilled),
                    "baseline": _estimate(s.baseline),
                }
                for s in curve.shares
            ],
            "share_that_matches_baseline": curve.need and curve.need._asdict(),
        }
        for curve in info.curves
    ]


def _convergence(info: ConvergenceInfo) -> dict[str, Any] | None:
    if info.missing:
        return None
    return {
        "share_of_final_accuracy": SHARE,
        "log_speed_ratio": _estimate(info.overall),
        "log_speed_ratio_to_baseline_accuracy": _estimate(info.same_target),
        "strata": [
            {
                "label": s.label,
                "distilled_epochs": _estimate(s.distilled),
                "baseline_epochs": _estimate(s.baseline),
                "log_speed_ratio": _estimate(s.log_ratio),
                "log_speed_ratio_to_baseline_accuracy": _estimate(s.same_target),
            }
            for s in info.speeds
        ],
    }


def _ladder(info: LadderInfo | None) -> dict[str, Any] | None:
    if info is None or info.missing:
        return None
    return {
        "parameter": info.parameter,
        "order": [r.size for r in info.rungs],
        "not_tried": list(info.not_tried),
        "search_trials_saved": info.trials_saved,
        "student_epochs_saved": info.epochs_saved,
    }
