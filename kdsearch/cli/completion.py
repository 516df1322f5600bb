"""What Tab offers. A shell waits for it, so it asks SQLite itself, without Optuna."""

import contextlib
import sqlite3
from pathlib import Path

import typer

from kdsearch.cli.templates import template_names

DEFAULT_STORAGE = "sqlite:///kdsearch.db"
SQLITE = "sqlite:///"
WAIT_SECONDS = 0.2


def complete_study(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of studies in the storage that the command line gives; none of a server's."""
    names = _stored_names(str(ctx.params.get("storage") or DEFAULT_STORAGE))
    return [name for name in names if name.startswith(incomplete)]


def complete_template(incomplete: str) -> list[str]:
    """Names of the study files that come with kdsearch."""
    return [name for name in template_names() if name.startswith(incomplete)]


def _stored_names(storage: str) -> list[str]:
    path = Path(storage.removeprefix(SQLITE))
    if not storage.startswith(SQLITE) or not path.is_file():
        return []
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=WAIT_SECONDS)) as opened:
            rows = opened.execute("SELECT study_name FROM studies ORDER BY study_id").fetchall()
    except sqlite3.Error:  # locked, or none of Optuna's
        return []
    found = [str(name) for (name,) in rows]
    # As `study.storage.database.study_names` tells kdsearch's studies from their parts.
    return [name for name in found if f"{name}/confirm" in found]
