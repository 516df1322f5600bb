"""No password reaches a report: it is made to be passed on."""

import dataclasses
import re
from typing import Any

from kdsearch.redaction import redact
from kdsearch.results import Results

# Database URLs allow a slash, a quote and an @ in a password, so up to the last @ of the word.
_USERINFO = re.compile(r"://\S*@")


def without_credentials(value: Any) -> Any:
    """`value` with `***` for the user and password of every URL in it.

    Args:
        value: A text, or a JSON-ready mapping or list; its texts are redacted, its keys kept.
    """
    if isinstance(value, str):
        return redact(_USERINFO.sub("://***@", value))
    if isinstance(value, dict):
        return {key: without_credentials(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_credentials(item) for item in value]
    return value


def redact_results(results: Results) -> Results:
    """`results` with a command and failures that hold no password. The storage keeps its own."""
    trials = tuple(
        t.model_copy(update={"failure": without_credentials(t.failure)}) if t.failure else t
        for t in results.trials
    )
    command = without_credentials(results.command)
    return dataclasses.replace(results, command=command, trials=trials)
