"""Section by section: which are valid, and every mistake in those that are not."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from kdsearch.config.metric import with_directions
from kdsearch.config.problem import (
    choices,
    describe,
    did_you_mean,
    nearest,
    not_among,
    shorten,
    show,
)
from kdsearch.config.reading.sections import TAGGED, homes_of, kinds, lone_section, model_at
from kdsearch.config.reading.source import find
from kdsearch.config.reading.tree import Finding, Node
from kdsearch.config.study import StudyConfig
from kdsearch.config.trial import SHORT_NAMES

Path = tuple[str, ...]


class Validated(NamedTuple):
    """What `validate_sections` found."""

    sections: dict[str, Any]
    """Valid sections by key, defaults included. `search` is there only if all of it is valid;
    its valid part is always there as `parameters`."""
    findings: list[Finding]


def validate_sections(root: Node) -> Validated:
    """Validate each top-level section, and each search parameter, on its own."""
    sections: dict[str, Any] = {"parameters": {}}
    findings: list[Finding] = []
    data = with_directions(root.plain())
    unknown = [key for key in data if key not in StudyConfig.model_fields]
    misspelled = {nearest(key, StudyConfig.model_fields) for key in unknown}
    for key, field in StudyConfig.model_fields.items():
        node = root.child(key)
        if node is None and not field.is_required():
            sections[key] = field.get_default(call_default_factory=True)
        elif node is None and key in misspelled:
            continue
        elif key == "search" and node is not None and isinstance(node.content, dict):
            _validate_search(root, data, sections, findings)
        else:
            lone = {key: data[key]} if node is not None else {}
            _validate_lone(key, lone, root, sections, findings)
    findings += [
        Finding(find(root, (key,))[0].place, key, unknown_key((key,), data)) for key in unknown
    ]
    return Validated(sections, findings)


def _validate_search(
    root: Node, data: dict[str, Any], sections: dict[str, Any], findings: list[Finding]
) -> None:
    for name, parameter in data["search"].items():
        found: dict[str, Any] = {}
        _validate_lone("search", {"search": {name: parameter}}, root, found, findings)
        sections["parameters"].update(found.get("search", {}))
    if sections["parameters"].keys() == data["search"].keys():
        _validate_lone("search", {"search": data["search"]}, root, sections, findings)


def _validate_lone(
    key: str,
    data: dict[str, Any],
    root: Node,
    sections: dict[str, Any],
    findings: list[Finding],
) -> None:
    try:
        model = _lone_section(key).model_validate(data)
    except ValidationError as error:
        findings += translate(error, data, root)
        return
    if not _is_broken(root.child(key), data[key]):
        sections[key] = getattr(model, key)


@functools.cache
def _lone_section(key: str) -> type[BaseModel]:
    return lone_section(key)


def _is_broken(node: Node | None, data: Any) -> bool:
    """Whether a part of `node` that is also in `data` could not be read."""
    if node is None:
        return False
    match node.content:
        case dict():
            inside = [(child, data[k]) for k, child in node.content.items() if k in data]
        case list():
            inside = list(zip(node.content, data, strict=True))
        case _:
            inside = []
    return node.broken or any(_is_broken(child, part) for child, part in inside)


def translate(error: ValidationError, data: Mapping[str, Any], root: Node) -> list[Finding]:
    """Pydantic's errors as findings, one for each key as the user wrote it."""
    by_path: dict[Path, list[Any]] = {}
    for one in error.errors(include_url=False):
        path = written_path(one["loc"], data, is_missing=one["type"] == "missing")
        if one["type"] in ("union_tag_not_found", "union_tag_invalid"):
            path = (*path, "kind")
        by_path.setdefault(path, []).append(one)
    findings = []
    for path, errors in by_path.items():
        node, is_there = find(root, path)
        if node.broken or _follows(path, errors[0], by_path, node):
            continue
        message = _message(path, errors, data, node if is_there else None)
        findings.append(Finding(node.place, shown_key(path), message))
    return findings


def _follows(path: Path, error: Any, by_path: Mapping[Path, list[Any]], node: Node) -> bool:
    """Whether an error only repeats another one."""
    if error["type"] == "too_short":
        return bool(node.content)  # pydantic counts the valid entries only
    if error["type"] == "missing":
        misspelled = [p for p, errors in by_path.items() if errors[0]["type"] == "extra_forbidden"]
        return any(
            p[:-1] == path[:-1] and nearest(p[-1], path[-1:]) is not None for p in misspelled
        )
    ancestors = (path[:length] for length in range(1, len(path)))
    return any(
        ancestor in by_path and by_path[ancestor][0]["type"] != "too_short"
        for ancestor in ancestors
    )


def written_path(loc: tuple[int | str, ...], data: Any, *, is_missing: bool) -> Path:
    """The keys of a pydantic location that are in the file: no union tags, no added lists.

    Args:
        loc: The location.
        data: What was validated.
        is_missing: Whether the error is that the last key is missing.
    """
    path: Path = ()
    for part in loc:
        if path in TAGGED and isinstance(data, dict) and part == data.get("kind"):
            # Only once: below its tag, the same word is a key of the section.
            data = {key: value for key, value in data.items() if key != "kind"}
            continue
        match data:
            case dict() if isinstance(part, str) and (part in data or is_missing):
                data = data.get(part)
            case list() if isinstance(part, int) and part < len(data):
                data = data[part]
            case _:
                continue
        path = (*path, str(part))
    return path


def shown_key(path: Path) -> str:
    """The dotted key of `path`; a value of a list of values is named by the list."""
    if len(path) > 1 and path[-2] == "values" and path[-1].isdecimal():
        path = path[:-1]
    return ".".join(map(shorten, path))


def _message(path: Path, errors: list[Any], data: Any, node: Node | None) -> str:
    kind = errors[0]["type"]
    value = None if node is None else node.plain()
    text = None if node is None else node.text
    if kind == "extra_forbidden":
        return unknown_key(path, data)
    if kind == "missing":
        return _missing(path)
    if kind == "union_tag_not_found":
        typo = nearest("kind", (str(key) for key in errors[0]["input"]))
        hint = "" if typo is None else f" (is '{shorten(typo)}' a typo?)"
        return f"is missing{hint}; allowed are {choices(_kinds_at(path[:-1]))}"
    if kind == "union_tag_invalid":
        return not_among(value, _kinds_at(path[:-1]), text)
    return describe(errors, value, text)


def _missing(path: Path) -> str:
    if path == ("search",):
        return "is missing; a study searches at least one parameter, such as learning_rate"
    return "is missing; it has no default, so it must be given"


def _kinds_at(path: Path) -> list[str]:
    owner = model_at(path[:-1], {})
    assert owner is not None
    return list(kinds(owner.model_fields[path[-1]].annotation))


def unknown_key(path: Path, data: Any) -> str:
    """The sentence for a key that no section has."""
    word = path[-1]
    model = model_at(path[:-1], data)
    allowed = list(model.model_fields) if model is not None else []
    hint = did_you_mean(word, allowed)
    homes = homes_of(word)
    if not hint and word in SHORT_NAMES and len(path) == 1:
        hint = f"did you mean 'search.{word}'? "
    elif not hint and homes and ".".join(path) not in homes:  # its home, with another kind
        hint = f"did you mean '{homes[0]}'? "
    return f"unknown key {show(word)}; {hint}allowed are {choices(allowed)}"
