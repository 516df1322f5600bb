"""Credentials never leave the process: they are taken out of every text that is written."""

import re
import shlex
from collections.abc import Sequence

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

# A password may hold a slash, as SQLAlchemy reads it; a path without a user before it has none.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?:[^\s/:'\"]+:[^\s'\"]*|[^\s/'\"]*)@")
_ASSIGNMENT = re.compile(
    r"(?P<name>(?:password|passwd|pwd|token|secret|api[_-]?key|access[_-]?key)\s*[=:]\s*)"
    r"[^\s&'\",;]+",
    re.IGNORECASE,
)
_URL = re.compile(r"[A-Za-z][\w+.-]*://.*", re.DOTALL)


def redact(text: str) -> str:
    """`text` with passwords in URLs and `password=...`-like values replaced by `***`."""
    return _ASSIGNMENT.sub(r"\g<name>***", _USERINFO.sub(r"\g<scheme>***@", text))


def redact_url(url: str) -> str:
    """A database's URL with its password as `***`; its user stays."""
    try:
        hidden = make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        return redact(url)
    # Rendered only where there is something to hide: rendering may write a URL in another way.
    return _ASSIGNMENT.sub(r"\g<name>***", hidden if "***" in hidden else url)


def redact_command(arguments: Sequence[str]) -> str:
    """A command line as one would type it, without the passwords of the URLs in it."""
    # Before the quoting, which would cut a password with a quote in it into pieces.
    return shlex.join(_redact_argument(argument) for argument in arguments)


def without_userinfo(url: str) -> str:
    """`url` without user and password."""
    return _USERINFO.sub(r"\g<scheme>", url)


def _redact_argument(argument: str) -> str:
    found = _URL.search(argument)
    if found is None:
        return redact(argument)
    return redact(argument[: found.start()]) + redact_url(found.group())
