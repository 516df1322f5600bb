"""MLflow's own server, as lean and as closed as it gets."""

import sys
from pathlib import Path

from kdsearch.tracking.serving.port import HOST, Port
from kdsearch.tracking.serving.service import Service


def mlflow_server(tracking_uri: str, port: Port, *, files: Path) -> Service:
    """A server of a database's runs: one worker, this machine alone.

    Without these options MLflow 3.17 takes 15 processes and 2 GB, and its default list of hosts
    lets a page of another site in (`192.168.evil.com` matches `192.168.*`), which could then read
    and delete every run.

    Args:
        tracking_uri: Of the database.
        port: Where it listens.
        files: Folder for the files of experiments that are made through the server.
    """
    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", HOST, "--port", str(port.number), "--workers", "1"]
    command += ["--allowed-hosts", ",".join(port.hosts)]
    command += ["--uvicorn-opts", "--log-level warning"]
    return Service(
        "MLflow's server",
        command,
        health=f"{port.url}/health",
        environment={
            # Here and not among the arguments, which every user of the machine can read.
            "MLFLOW_BACKEND_STORE_URI": tracking_uri,
            "MLFLOW_ARTIFACTS_DESTINATION": str(files),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONWARNINGS": "ignore",
            # Or a `mlflow.py` in the current folder would be run instead.
            "PYTHONSAFEPATH": "1",
        },
    )
