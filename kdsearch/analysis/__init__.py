"""Numbers first, then figures, then the report page. Knows no torch, Optuna or MLflow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdsearch.analysis.answer import Answer
    from kdsearch.analysis.context import Context
    from kdsearch.analysis.drawing.data_table import Table
    from kdsearch.analysis.drawing.report_figure import ReportFigure
    from kdsearch.analysis.report import ANSWERS, Report, write_report
    from kdsearch.analysis.statistics.capacity import Band, CapacityFit, fit_capacity_curve
    from kdsearch.analysis.table import results_table, write_table

_HOMES = {
    "Answer": "kdsearch.analysis.answer",
    "Context": "kdsearch.analysis.context",
    "Table": "kdsearch.analysis.drawing.data_table",
    "ReportFigure": "kdsearch.analysis.drawing.report_figure",
    "ANSWERS": "kdsearch.analysis.report",
    "Report": "kdsearch.analysis.report",
    "write_report": "kdsearch.analysis.report",
    "Band": "kdsearch.analysis.statistics.capacity",
    "CapacityFit": "kdsearch.analysis.statistics.capacity",
    "fit_capacity_curve": "kdsearch.analysis.statistics.capacity",
    "results_table": "kdsearch.analysis.table",
    "write_table": "kdsearch.analysis.table",
}

__all__ = [
    "ANSWERS",
    "Answer",
    "Band",
    "CapacityFit",
    "Context",
    "Report",
    "ReportFigure",
    "Table",
    "fit_capacity_curve",
    "results_table",
    "write_report",
    "write_table",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that who only needs the words for things loads no pandas, SciPy or Matplotlib.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kdsearch.analysis' has no attribute '{name}'")
