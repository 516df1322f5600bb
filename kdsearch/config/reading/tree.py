"""YAML text as a tree of nodes that know where they were written.

The reading rules are YAML 1.2's, not PyYAML's 1.1: `1e-3` is a number, only true and false are
booleans, and dates, `no`, `1:30` and `012` are text. Anchors, tags and duplicate keys are refused.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from kdsearch.config.base import Scalar
from kdsearch.config.problem import shorten, show
from kdsearch.config.reading.syntax import Flaw, syntax_flaw

MAX_DEPTH = 20
"""Levels of nesting; a study needs five."""
_MAX_INT = 2**63 - 1
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar | None] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"), None)
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | dict.fromkeys((".inf", "+.inf"), float("inf"))
    | {"-.inf": float("-inf"), ".nan": float("nan")}
)


class Place(NamedTuple):
    """Where something was written: `file:line` or `--set a.b=c`, and its rank in a listing."""

    label: str
    order: int


@dataclass
class Node:
    """One value of a study file."""

    place: Place
    content: "dict[str, Node] | list[Node] | Scalar | None"
    text: str | None = None
    """A plain scalar as it was written."""
    broken: bool = False
    """Whether the value could not be read, which has been reported."""

    def plain(self) -> Any:
        """The value as dictionaries, lists and scalars."""
        match self.content:
            case dict():
                return {key: node.plain() for key, node in self.content.items()}
            case list():
                return [node.plain() for node in self.content]
            case _:
                return self.content

    def child(self, key: str) -> "Node | None":
        """The value under a key of a mapping, or at an index of a list; None if there is none."""
        match self.content:
            case dict():
                return self.content.get(key)
            case list() if key.isdecimal() and int(key) < len(self.content):
                return self.content[int(key)]
            case _:
                return None


class Finding(NamedTuple):
    """One problem and its place; `key` is empty where the whole file is meant."""

    place: Place
    key: str
    message: str

    def sentence(self) -> str:
        """`file:line: dotted.key: what is wrong, what is allowed`."""
        return ": ".join(part for part in (self.place.label, self.key, self.message) if part)


def read_tree(text: str, place_of: Callable[[int], Place]) -> tuple[Node | None, list[Finding]]:
    """The tree of a YAML text and every problem found on the way; no tree if there is none.

    Args:
        text: One YAML document.
        place_of: The place of a line, counted from 1.
    """
    builder = _Builder(place_of)
    try:
        tree = builder.document(text)
    except Flaw as flaw:
        builder.report(flaw.line, (), flaw.message)
        tree = None
    except yaml.YAMLError as error:
        flaw = syntax_flaw(error, text)
        builder.report(flaw.line, (), flaw.message)
        tree = None
    except (ValueError, OverflowError):
        # PyYAML lets chr() fail on escapes beyond Unicode, such as "\UFFFFFFFF".
        line = 1 + text[: max(text.find("\\U"), 0)].count("\n")
        builder.report(line, (), "an escape in quoted text names no character")
        tree = None
    return tree, builder.findings


class _Builder:
    """Turns PyYAML's events into nodes, which keeps lines and finds duplicate keys."""

    def __init__(self, place_of: Callable[[int], Place]) -> None:
        self.findings: list[Finding] = []
        self._place_of = place_of

    def report(self, line: int, path: tuple[str, ...], message: str) -> None:
        key = ".".join(shorten(part) for part in path)
        self.findings.append(Finding(self._place_of(line), key, message))

    def document(self, text: str) -> Node | None:
        self._loader = yaml.SafeLoader(text)
        try:
            self._loader.get_event()
            if self._loader.check_event(yaml.StreamEndEvent):
                return None
            self._loader.get_event()
            node = self._node(self._loader.get_event(), ())
            self._loader.get_event()
            if not self._loader.check_event(yaml.StreamEndEvent):
                line = self._loader.peek_event().start_mark.line + 1
                raise Flaw(line, "a second document starts with ---; a study file holds one")
            return node
        finally:
            self._loader.dispose()

    def _node(self, event: Any, path: tuple[str, ...], place: Place | None = None) -> Node:
        line = event.start_mark.line + 1
        if len(path) > MAX_DEPTH:
            raise Flaw(
                line, f"the nesting is deeper than {MAX_DEPTH} levels, which no study needs"
            )
        node = Node(place or self._place_of(line), None)
        message = _forbidden(event)
        match event:
            case yaml.ScalarEvent():
                node.content = event.value
                if event.implicit[0]:
                    node.text = event.value
                    node.content = read_scalar(event.value)
                message = message or _unreadable(event.value, node.content)
            case yaml.SequenceStartEvent():
                node.content = self._sequence(path)
            case yaml.MappingStartEvent():
                node.content = self._mapping(path)
        if message is not None:
            self.report(line, path, message)
            node.content, node.broken = None, True
        return node

    def _sequence(self, path: tuple[str, ...]) -> list[Node]:
        nodes: list[Node] = []
        while not isinstance(event := self._loader.get_event(), yaml.SequenceEndEvent):
            nodes.append(self._node(event, (*path, str(len(nodes)))))
        return nodes

    def _mapping(self, path: tuple[str, ...]) -> dict[str, Node]:
        nodes: dict[str, Node] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := self._loader.get_event(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key, message = self._key(event, path)
            node = self._node(self._loader.get_event(), (*path, key), self._place_of(line))
            if message is None and key in nodes:
                message = f"this key is already set in line {lines[key]}; give it once"
                self.report(line, (*path, key), message)
            elif message is not None:
                self.report(line, path, message)
            else:
                nodes[key], lines[key] = node, line
        return nodes

    def _key(self, event: Any, path: tuple[str, ...]) -> tuple[str, str | None]:
        known = len(self.findings)
        node = self._node(event, path)
        del self.findings[known:]
        match node.content:
            case _ if node.broken:
                return "?", _forbidden(event) or "a key holds a control character; a key is a name"
            case str() if "\n" not in node.content and node.content.strip():
                return node.content, None
            case None | str():
                return "?", "a key is empty or more than one line; a key is a name"
            case dict() | list():
                return "?", "a key is a list or a mapping; a key is a name"
            case _:
                written = show(node.content, node.text)
                return "?", f"the key {written} is not text; put it in quotes if it is a name"


def read_scalar(text: str) -> Scalar | None:
    """The value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        # A bounded length: int() refuses, and str() of others would fail on, thousands of digits.
        return int(text, 0) if len(text) <= 40 else _MAX_INT + 1
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _forbidden(event: Any) -> str | None:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        return "anchors and aliases (&name, *name) are not allowed; write the value out"
    if event.tag is not None:
        return f"the tag {shorten(event.tag)} is not allowed; a study file is data, not code"
    return None


def _unreadable(text: str, value: object) -> str | None:
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in text):
        return "the text holds a control character; allowed is readable text"
    if isinstance(value, int) and not -_MAX_INT <= value <= _MAX_INT:
        return f"{shorten(text)} is too large; allowed are whole numbers below 2^63"
    return None
