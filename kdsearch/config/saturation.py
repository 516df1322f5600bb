"""`study:` - what counts as saturated, and a ladder of sizes that is climbed until it is."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from kdsearch.config.base import Section
from kdsearch.config.metric import metric_name
from kdsearch.config.problem import Problem, choices
from kdsearch.config.question import Asks
from kdsearch.config.search import ConfirmConfig, Objective, SearchParameter
from kdsearch.config.search_space import is_integer_field
from kdsearch.config.trial import SHORT_NAMES, field_of

FIRST_SIZES = 5
"""Sizes that a ladder begins with: the fewest that a verdict can rest on (analysis.capacity), so
beginning with fewer would only cost time."""
MAX_SIZE = 65_536


class LadderConfig(Section):
    """Sizes that grow until accuracy saturates, in place of a list of values."""

    parameter: str = "width"
    """The student's size: `width`, or a whole-number field such as `student.depth`."""
    start: Annotated[int, Field(ge=1, le=MAX_SIZE)]
    """The smallest size."""
    factor: Annotated[float, Field(gt=1.0, le=16.0)] = 2.0
    """From one size to the next."""
    max: Annotated[int, Field(ge=2, le=MAX_SIZE)]
    """No size is larger."""

    def sizes(self) -> tuple[int, ...]:
        """Every size that climbing can reach: start * factor^k, rounded, each once."""
        count = max(math.floor(math.log(self.max / self.start) / math.log(self.factor)) + 2, 1)
        grown = (round(self.start * self.factor**k) for k in range(count))
        return tuple(dict.fromkeys(size for size in grown if size <= self.max))

    def as_parameter(self) -> SearchParameter:
        """The scientific parameter that the ladder stands for."""
        return SearchParameter(role="scientific", values=self.sizes())


Share = Annotated[str, Field(pattern=r"^([1-9]\d?(\.\d+)?|0?\.0*[1-9]\d*)%$")]
"""Above 0 % and below 100 %."""


class SaturationConfig(Section):
    """What the report answers, what counts as saturated, and how the sizes are found."""

    asks: Asks | None = None
    """The kind of question, which decides the first sentence of the report and its first figure;
    derived from the search space if left out: of a study of width that tunes temperature and
    alpha it is `size`, unless this says `temperature_alpha`."""
    metric: Annotated[str, AfterValidator(metric_name)] = "accuracy"
    """The headline [metric](#metrics), which the report speaks of and a ladder climbs by; without
    a ladder, changing it trains nothing."""
    tolerance: Annotated[float, Field(gt=0.0, lt=0.5)] | Share = 0.005
    """Difference in the headline metric that counts as none: a number above 0 and below 0.5 (of an
    accuracy 0.005 is half a point), or a share of the errors that the full teacher ensemble makes,
    as `10%`; of a metric without errors, a share of the ensemble's own value."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.9
    """Of the interval of the saturation size, and of every other interval in the report."""
    ladder: LadderConfig | None = None
    """Grow the student until it saturates, instead of a scientific parameter under `search`."""


def with_ladder(
    search: Mapping[str, SearchParameter], study: SaturationConfig
) -> dict[str, SearchParameter]:
    """The search parameters, after the ladder's if there is one."""
    ladder = study.ladder
    if ladder is None or not ladder.sizes():
        return dict(search)
    return {ladder.parameter: ladder.as_parameter()} | dict(search)


def ladder_problems(
    study: SaturationConfig,
    parameters: Mapping[str, SearchParameter],
    sections: Mapping[str, Any],
) -> Iterator[Problem]:
    """What is wrong with a ladder beside the other sections.

    Args:
        study: The section that may hold the ladder.
        parameters: Valid search parameters by name, without the ladder's.
        sections: Valid sections by key; checks of those that are not there are left out.
    """
    ladder = study.ladder
    if ladder is None:
        return
    yield from _parameter_problems(ladder, parameters, sections)
    count = len(ladder.sizes())
    if count < FIRST_SIZES:
        yield Problem(
            "study.ladder.max",
            f"from {ladder.start} to {ladder.max} by factor {ladder.factor:g} the ladder has "
            f"{count} sizes, and a verdict takes {FIRST_SIZES}; raise max, or lower start or "
            "factor",
        )
    confirm: ConfirmConfig | None = sections.get("confirm")
    if confirm is not None and confirm.replicates < 2:
        yield Problem(
            "confirm.replicates",
            f"{confirm.replicates}, but the ladder judges saturation by the confirm runs' "
            "validation accuracy and its scatter; allowed is at least 2",
        )
    objectives: tuple[Objective, ...] = sections.get("objective", ())
    if len(objectives) > 1:
        yield Problem(
            "study.ladder",
            "a Pareto study has no size to climb; give one objective, or search the size as a "
            "nuisance parameter",
        )


def _parameter_problems(
    ladder: LadderConfig, parameters: Mapping[str, SearchParameter], sections: Mapping[str, Any]
) -> Iterator[Problem]:
    name = ladder.parameter
    target = field_of(name)
    wrong = _not_a_size(name, target, sections)
    if wrong is not None:
        yield Problem("study.ladder.parameter", wrong)
        return
    for other, parameter in parameters.items():
        if field_of(other) == target:
            yield Problem(
                f"search.{other}",
                f"{name} is the ladder's parameter, which chooses its own sizes; take it out of "
                "search, or take study.ladder out",
            )
        elif parameter.role == "scientific":
            yield Problem(
                f"search.{other}",
                f"a study with a ladder asks about one axis, {name}; make {other} a nuisance or "
                "fixed parameter, or give a list of values for both in place of the ladder",
            )


def _not_a_size(name: str, target: str, sections: Mapping[str, Any]) -> str | None:
    """Why a field cannot be the ladder's; None if it can, or if the student is not known."""
    short = {target: short for short, target in SHORT_NAMES.items()}
    if name in short:
        return f"is searched under its short name; write '{short[name]}'"
    student = sections.get("student")
    if student is None or (target.startswith("student.options.") and student.kind == "import"):
        return None
    if target.startswith("student.") and is_integer_field(name, sections):
        return None
    sizes = [n for n in ("width", "student.depth") if is_integer_field(n, sections)]
    verb = "is" if len(sizes) == 1 else "are"
    return f"'{name}' is not a size of the student; allowed {verb} {choices(sizes)}"
