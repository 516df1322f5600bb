"""MLflow's environment variables: no telemetry, no chatter, no long wait for a dead server."""

import os

DEFAULTS = {
    # `DO_NOT_TRACK=1` does not stop MLflow's telemetry; this does (MLflow 3.17).
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # MLflow's own defaults (7 retries of 120 s) would hold a study up for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def set_defaults() -> None:
    """Set what the user has not set. Child processes, such as `mlflow ui`, inherit it."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
