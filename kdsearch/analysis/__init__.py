"""Numbers first, then figures, then the report page. Knows no torch, Optuna or MLflow."""

from kdsearch.analysis.answer import Answer
from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing.data_table import Table
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.analysis.report import ANSWERS, Report, write_report
from kdsearch.analysis.statistics.capacity import Band, CapacityFit, fit_capacity_curve
from kdsearch.analysis.table import results_table, write_table

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
