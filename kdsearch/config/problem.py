"""One mistake, and pydantic's errors as sentences that say what is wrong and what is allowed."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_MAX_SHOWN = 60


class Problem(NamedTuple):
    """One mistake: the dotted key it is at, and one sentence with what is allowed."""

    key: str
    message: str


def shorten(text: str) -> str:
    """`text` on one line, without control characters and passwords, at most 60 characters."""
    text = re.sub(r"(://[^/@\s:]*):[^@\s]*@", r"\1:***@", text)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def show(value: Any, text: str | None = None) -> str:
    """A value the way one writes it in a study file; `text` is how it was written there."""
    match value:
        case str():
            return f'"{shorten(value)}"'
        case None:
            return "nothing (null)"
        case dict():
            return "a section" if value else "an empty section {}"
        case list() | tuple():
            return f"the list {shorten(json.dumps(value, default=str))}"
        case bool():
            return str(value).lower()
        case _:
            return shorten(str(value) if text is None else text)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` may be a misspelling of."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`did you mean 'x'? ` for the candidate nearest to `word`, or nothing."""
    close = nearest(word, candidates)
    return "" if close is None else f"did you mean '{close}'? "


def choices(words: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def not_among(word: Any, allowed: Iterable[str], text: str | None = None) -> str:
    """The sentence for a word that is not one of those allowed."""
    allowed = list(allowed)
    hint = did_you_mean(word, allowed) if isinstance(word, str) else ""
    verb = "are" if len(allowed) > 1 else "is"
    return f"{show(word, text)} is not known; {hint}allowed {verb} {choices(allowed)}"


_TYPES = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "model_type": "a section of `key: value` lines",
    "model_attributes_type": "a section of `key: value` lines",
    "dict_type": "a section of `key: value` lines",
    "tuple_type": "a list such as [1, 2, 4]",
}
_LIMITS = {
    "greater_than": "it must be above {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be below {lt}",
    "less_than_equal": "it must be at most {le}",
    "multiple_of": "it must be a multiple of {multiple_of}",
    "string_too_short": "it must have at least {min_length} character(s)",
    "string_too_long": "it must have at most {max_length} characters",
}
_PATTERNS = {
    "name": "allowed are letters, digits, '.', '_' and '-', starting with a letter or digit, at "
    "most 64 characters",
    "storage": "allowed is an Optuna storage URL such as sqlite:///kdsearch.db",
    "target": "allowed is module:callable, such as my_models:build",
    "transform": "allowed is module:callable, such as my_data:rotate",
    "constrained-str": "allowed is a fraction below 0.5, or a share of the teacher's errors, as "
    "10%",
}


def describe(errors: list[Mapping[str, Any]], value: Any, text: str | None = None) -> str:
    """What is wrong with one value and what is allowed, in one sentence.

    Args:
        errors: Pydantic's errors at this value; a union such as `int | float` makes several.
        value: The value.
        text: How it was written, where it is a plain scalar.
    """
    # Of a number or text of some form: what is wrong with the text, if it is one.
    error = next((e for e in errors if e["type"] == "string_pattern_mismatch"), errors[0])
    kind, context, field = error["type"], error.get("ctx", {}), str(error["loc"][-1])
    if all(e["type"] in _TYPES for e in errors):
        wanted = _union([e["type"] for e in errors], str(error["loc"][0]))
        return f"must be {wanted}, not {show(value, text)}"
    if kind in _LIMITS:
        limit = _LIMITS[kind].format_map(context)
        return f"{show(value, text)} is not allowed; {limit}"
    if kind == "literal_error":
        return not_among(value, re.findall(r"'([^']*)'", context["expected"]), text)
    if kind == "string_pattern_mismatch":
        rule = next((_PATTERNS[key] for key in _PATTERNS if field == key), "")
        return f"{show(value, text)} is not allowed; {rule}"
    if kind == "too_short":
        return "is empty; give at least one entry"
    if kind == "value_error":
        return str(context["error"])
    return f"{show(value, text)} is not allowed: {error['msg']}"


def _union(kinds: list[str], section: str) -> str:
    found = set(kinds)
    if section == "objective" and "tuple_type" in found:
        return "a section such as {metric: val_accuracy, direction: maximize}, or a list of them"
    if {"bool_type", "string_type"} <= found:
        return "a number, text, true or false"
    if {"int_type", "float_type"} <= found:
        return "a number"
    return _TYPES[kinds[0]]
