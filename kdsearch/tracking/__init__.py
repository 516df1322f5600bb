"""Where trials become MLflow runs. Importing this imports no MLflow; `mlflow_sink` does."""

from kdsearch.tracking import environment
from kdsearch.tracking.sink import (
    DatasetSummary,
    LoggableModel,
    Sink,
    StudyState,
    TrackingUnavailableError,
)

environment.set_defaults()  # MLflow reads some of these while it is imported, so before that.

__all__ = ["DatasetSummary", "LoggableModel", "Sink", "StudyState", "TrackingUnavailableError"]
