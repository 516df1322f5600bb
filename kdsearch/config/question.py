"""What a study asks: the kind of question, which its report answers first, and its words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from kdsearch.config.base import Scalar
from kdsearch.config.model import ModelConfig
from kdsearch.config.problem import Problem
from kdsearch.config.search import ConfirmConfig, Objective, SearchParameter
from kdsearch.config.trial import changes_student, field_of

Asks = Literal[
    "size",
    "cost",
    "temperature_alpha",
    "ensemble_size",
    "data_share",
    "epochs",
    "levels",
    "grid",
    "pareto",
    "gain",
]
"""`size`: how small may a student be? `cost`: what does one that keeps up cost to run?
`temperature_alpha`: which to take? `ensemble_size`: how many teachers? `data_share`: how much
less data? `epochs`: how many fewer? `levels`: which value of one other parameter? `grid`: of two?
`pareto`: which students are unbeaten? `gain`: does distillation help?"""
DATA_SHARE = "data.train_fraction"
_WIDTH = "student.width"


def kind_of_question(
    space: Mapping[str, SearchParameter], objectives: Sequence[Objective]
) -> Asks:
    """What a search space asks, where the file does not say it.

    Args:
        space: Every search parameter, a ladder's included.
        objectives: Two or more ask for a front.
    """
    if len(objectives) > 1:
        return "pareto"
    scientific = [name for name, p in space.items() if p.role == "scientific"]
    if DATA_SHARE in scientific:
        return "data_share"
    match scientific:
        case []:
            tuned = {name for name, p in space.items() if p.role == "nuisance"}
            return "temperature_alpha" if tuned & {"temperature", "alpha"} else "gain"
        case ["ensemble_size"]:
            return "ensemble_size"
        case [name]:
            return "size" if changes_student(name) else "levels"
        case _:
            return "grid"


def question_problems(
    asks: Asks,
    space: Mapping[str, SearchParameter],
    objectives: Sequence[Objective],
    confirm: ConfirmConfig,
) -> Iterator[Problem]:
    """Why a study cannot answer what its file says that it asks.

    Args:
        asks: As the file has it.
        space: Every valid search parameter, a ladder's included.
        objectives: Of the study.
        confirm: Its confirm stage.
    """
    scientific = [name for name, p in space.items() if p.role == "scientific"]
    tuned = {name for name, p in space.items() if p.role == "nuisance"}
    needs = {
        "size": (any(map(changes_student, scientific)), "a scientific size, such as width"),
        "cost": (any(map(changes_student, scientific)), "a scientific size, such as width"),
        "temperature_alpha": (
            bool(tuned & {"temperature", "alpha"}),
            "temperature or alpha as a nuisance parameter",
        ),
        "ensemble_size": (scientific == ["ensemble_size"], "ensemble_size as its one scientific "
                          "parameter"),
        "data_share": (DATA_SHARE in scientific, f"{DATA_SHARE} as a scientific parameter"),
        "epochs": (confirm.baseline, "confirm.baseline: true, to compare with"),
        "levels": (len(scientific) == 1, "one scientific parameter"),
        "grid": (len(scientific) == 2, "two scientific parameters"),
        "pareto": (len(objectives) > 1, "a list of two or more objectives"),
        "gain": (confirm.baseline, "confirm.baseline: true, to compare with"),
    }  # fmt: skip
    is_met, what = needs[asks]
    if not is_met:
        yield Problem("study.asks", f"'{asks}' needs {what}; leave study.asks out, or add it")


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
