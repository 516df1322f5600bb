"""The question of a study, put in words where its author left it out."""

from collections.abc import Mapping, Sequence

from kdsearch.config.base import Scalar
from kdsearch.config.model import ModelConfig
from kdsearch.config.search import Objective, SearchParameter
from kdsearch.config.trial import field_of

_WIDTH = "student.width"


def derived_question(
    student: ModelConfig,
    search: Mapping[str, SearchParameter],
    objectives: Sequence[Objective],
) -> str:
    """`Which temperature and alpha suit mlp students of width 8, 16, ..., 256?`."""
    tuned = [_words(name) for name, p in search.items() if p.role == "nuisance"]
    fixed = {field_of(n): p.value for n, p in search.items() if p.role == "fixed"}
    axes = {field_of(n): p for n, p in search.items() if p.role == "scientific"}
    students = f"{student.kind} students"
    width = axes.pop(_WIDTH, None)
    if width is not None:
        students += f" of width {_series(width.values or ())}"
    elif all(p.role == "fixed" or field_of(n) != _WIDTH for n, p in search.items()):
        students += f" of width {fixed.get(_WIDTH, student.width)}"
    if axes:
        points = (f"{_words(name)} {_series(p.values or ())}" for name, p in axes.items())
        students += f" at {' and '.join(points)}"
    goal = ""
    if len(objectives) > 1:
        goal = f" for {_listed([f'{o.direction[:3]}imal {_words(o.metric)}' for o in objectives])}"
    if tuned:
        return f"Which {_listed(tuned)} {'suits' if len(tuned) == 1 else 'suit'} {students}{goal}?"
    return f"How well do {students} learn{goal}?"


def _words(name: str) -> str:
    *path, leaf = name.split(".")
    whose = "teacher " if path[:1] == ["teacher"] else ""
    return whose + leaf.replace("_", " ")


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _series(values: tuple[Scalar, ...]) -> str:
    shown = [str(value) for value in values]
    if len(shown) > 4:
        shown = [*shown[:2], "...", shown[-1]]
    return ", ".join(shown) if "..." in shown or len(shown) < 2 else _listed(shown)
