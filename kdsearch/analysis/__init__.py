"""Numbers first, then figures, then the report page. Knows no torch, Optuna or MLflow."""

from kdsearch.analysis.report import Report, write_report
from kdsearch.analysis.table import results_table, write_table

__all__ = ["Report", "results_table", "write_report", "write_table"]
