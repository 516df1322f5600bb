"""A study file and its `--set` overrides as one tree of nodes."""

from pathlib import Path

from kdsearch.config.problem import shorten
from kdsearch.config.reading.tree import Finding, Node, Place, read_tree
from kdsearch.config.search import SearchParameter

_MAX_BYTES = 1_000_000
_FIRST_OVERRIDE = 10**9
"""Overrides are listed after the lines of the file."""


def read_source(path: Path) -> tuple[Node | None, list[Finding]]:
    """The tree of a study file, and every problem of reading it; no tree if there is none."""
    label = str(path)

    def place_of(line: int) -> Place:
        return Place(f"{label}:{line}", line)

    try:
        text = _read_text(path)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return None, [Finding(place_of(line), "", "this is not UTF-8 text; save it as UTF-8")]
    except _UnreadableError as error:
        return None, [Finding(Place(label, 0), "", str(error))]
    root, findings = read_tree(text, place_of)
    if findings and root is None:
        return None, findings
    top = "a study file is a mapping that starts with `name: ...`"
    if root is None or (root.content is None and not root.broken):
        return None, [Finding(place_of(1), "", f"the file is empty; {top}")]
    if not isinstance(root.content, dict):
        what = "a list" if isinstance(root.content, list) else "a single value"
        wrong = Finding(root.place, "", f"the file holds {what}; {top}")
        return None, findings or [wrong]
    return root, findings


class _UnreadableError(Exception):
    pass


def _read_text(path: Path) -> str:
    try:
        if not path.exists():
            raise _UnreadableError("there is no such file; check the path of the study file")
        if not path.is_file():
            raise _UnreadableError("this is not a file; give the path of a study file")
        if path.stat().st_size > _MAX_BYTES:
            raise _UnreadableError("the file is larger than 1 MB, which no study file is")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _UnreadableError(f"the file cannot be read: {error.strerror}") from error


def override(root: Node, text: str, rank: int) -> list[Finding]:
    """Put one `a.b=c` of `--set` into the tree, in place.

    Args:
        root: The tree of a study file.
        text: A dotted key and a YAML value.
        rank: The position of the override on the command line.
    """
    place = Place(f"--set {shorten(text)}", _FIRST_OVERRIDE + rank)
    dotted, equals, value = text.partition("=")
    dotted = dotted.strip()
    if not equals or not all(dotted.split(".")):
        example = "an override is written key=value, such as --set budget.trials=8"
        return [Finding(place, "", example)]
    node, findings = read_tree(value, lambda _: place)
    findings = [f._replace(key=".".join(filter(None, (dotted, f.key)))) for f in findings]
    if node is None:
        if findings:
            return findings
        node = Node(place, None)
    obstacle = _put(root, split_key(root, dotted), node)
    return findings if obstacle is None else [*findings, Finding(place, dotted, obstacle)]


def _put(root: Node, path: tuple[str, ...], new: Node) -> str | None:
    at = root
    for depth, key in enumerate(path[:-1], start=1):
        if at.content is None:
            at.content, at.broken = {}, False
        child = at.child(key)
        if child is None and isinstance(at.content, dict):
            child = at.content[key] = Node(new.place, {})
        if child is None or not isinstance(child.content, dict | list | None):
            where = ".".join(path[: depth if child is not None else depth - 1])
            return f"{where} holds a value, not a section; override {where} itself"
        at = child
    if at.content is None:
        at.content, at.broken = {}, False
    if isinstance(at.content, dict):
        at.content[path[-1]] = new
        return None
    if isinstance(at.content, list) and at.child(path[-1]) is not None:
        at.content[int(path[-1])] = new
        return None
    return f"{'.'.join(path[:-1])} is a list; override it as a whole"


def split_key(root: Node, dotted: str) -> tuple[str, ...]:
    """The keys of a dotted key. The names of search parameters may hold dots themselves."""
    first, *rest = dotted.split(".")
    if first != "search" or not rest:
        return (first, *rest)
    search = root.child("search")
    for count in range(len(rest), 0, -1):
        name = ".".join(rest[:count])
        if search is not None and search.child(name) is not None:
            return (first, name, *rest[count:])
    if len(rest) > 1 and rest[-1] in SearchParameter.model_fields:
        return (first, ".".join(rest[:-1]), rest[-1])
    return (first, ".".join(rest))


def find(root: Node, path: tuple[str, ...]) -> tuple[Node, bool]:
    """The deepest node on the way to `path`, and whether that is `path` itself."""
    at = root
    for key in path:
        child = at.child(key)
        if child is None:
            return at, False
        at = child
    return at, True
