"""Who made a run: user, command and git commit, as MLflow's own tags."""

import getpass
import shutil
import subprocess

from kdsearch.redaction import redact


def origin_tags(command: str) -> dict[str, str]:
    """The tags behind MLflow's columns `User`, `Source` and `Version`."""
    tags = {
        "mlflow.source.name": redact(command)[:500],
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
    }
    if commit := _git_commit():
        tags["mlflow.source.git.commit"] = commit
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # A container's user without a name.
        return "unknown"


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
