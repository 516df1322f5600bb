"""Numbers first, then figures, then the report page. Knows no torch, Optuna or MLflow."""

from kdsearch.analysis.report import Report, write_report
from kdsearch.analysis.statistics.capacity import Band, CapacityFit, fit_capacity_curve
from kdsearch.analysis.table import results_table, write_table

__all__ = [
    "Band",
    "CapacityFit",
    "Report",
    "fit_capacity_curve",
    "results_table",
    "write_report",
    "write_table",
]
