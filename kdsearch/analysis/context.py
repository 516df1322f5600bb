"""What an answer may look at: the study, its strata, its teachers, and what others computed."""

from collections.abc import Callable
from typing import Any, TypeVar

from kdsearch.analysis import wording
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.teachers import compute_teachers
from kdsearch.results import Results

Found = TypeVar("Found")


class Context:
    """A study under analysis; every number of it is computed once."""

    def __init__(self, results: Results) -> None:
        """Computes the strata and the teachers, which nearly every answer needs."""
        self.results = results
        self.strata = compute_strata(results)
        self.teachers = compute_teachers(results)
        self._found: dict[Callable[[Context], Any], Any] = {}

    def of(self, compute: Callable[["Context"], Found]) -> Found:
        """What `compute` finds in this study: `context.of(GAIN.compute)`."""
        if compute not in self._found:
            self._found[compute] = compute(self)
        return self._found[compute]

    @property
    def level(self) -> str:
        """Coverage of the study's intervals: `90 %`."""
        return wording.level(self.strata.confidence)
