"""What kind of question a study asks: it decides the first sentence of its report."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from kdsearch.config.problem import Problem
from kdsearch.config.search import ConfirmConfig, Objective, SearchParameter
from kdsearch.config.trial import changes_student

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
