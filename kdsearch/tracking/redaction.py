"""Credentials never leave the process: they are taken out of every text that is written."""

import re

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)[^\s/'\"]*@")
_ASSIGNMENT = re.compile(
    r"(?P<name>(?:password|passwd|pwd|token|secret|api[_-]?key|access[_-]?key)\s*[=:]\s*)"
    r"[^\s&'\",;]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """`text` with passwords in URLs and `password=...`-like values replaced by `***`."""
    return _ASSIGNMENT.sub(r"\g<name>***", _USERINFO.sub(r"\g<scheme>***@", text))


def without_userinfo(url: str) -> str:
    """`url` without user and password."""
    return _USERINFO.sub(r"\g<scheme>", url)
