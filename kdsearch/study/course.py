"""The way of one round's students through the rungs, leg by leg.

All students of a leg end before the next leg begins, so who goes on at a rung depends on scores
alone, and the survivors of all lanes form full cohorts again.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple

from kdsearch.execution import StudentSpec
from kdsearch.study.cohorts import form_cohorts
from kdsearch.study.round import Group

Survive = Callable[[Group, int, Mapping[str, float]], frozenset[str]]
"""A group, a rung (epochs) and scores by student to the keys that go on."""


class Leg(NamedTuple):
    """What one cohort does until the next rung."""

    key: str
    """Follows from the students and the rung."""
    specs: tuple[StudentSpec, ...]
    until: int | None
    pruned: bool
    origins: tuple[str, ...]
    """Keys of the legs that the students come from."""


class Course(Generic[Group]):
    """Who is where; tells the next leg of everybody when all have ended the last."""

    def __init__(
        self,
        name: str,
        groups: Mapping[Group, Sequence[StudentSpec]],
        *,
        rungs: Mapping[Group, Sequence[int]],
        survive: Survive[Group],
    ) -> None:
        """Nobody has begun.

        Args:
            name: Begins the legs' keys.
            groups: Students that are compared with each other.
            rungs: By group, where it is compared: epochs, ascending; may be empty.
            survive: Decides at a rung.
        """
        self._name = name
        self._groups = {group: list(specs) for group, specs in groups.items()}
        self._rungs = rungs
        self._survive = survive
        self._place = -1
        self._scores: dict[str, float] = {}
        self._came_from: dict[str, str] = {}

    def pause(self, key: str, score: float) -> None:
        """A student waits at its rung; those that do not have ended."""
        self._scores[key] = score

    def next_legs(self) -> list[Leg]:
        """What is to be done now; empty when all have ended."""
        pruned: list[Leg] = []
        if self._place >= 0:
            pruned = self._decide()
        self._place += 1
        self._scores.clear()
        live: dict[int | None, list[StudentSpec]] = {}
        for group, specs in self._groups.items():
            live.setdefault(self._rung(group, self._place), []).extend(specs)
        legs = [leg for until, specs in live.items() for leg in self._legs(specs, until)]
        self._came_from = {spec.key: leg.key for leg in legs for spec in leg.specs}
        return pruned + legs

    def _decide(self) -> list[Leg]:
        lost: dict[int, list[StudentSpec]] = {}
        for group, specs in self._groups.items():
            scores = {
                spec.key: self._scores[spec.key] for spec in specs if spec.key in self._scores
            }
            rung = self._rung(group, self._place)
            kept = frozenset[str]()
            if rung is not None and scores:
                kept = self._survive(group, rung, scores)
                lost.setdefault(rung, []).extend(
                    spec for spec in specs if spec.key in scores.keys() - kept
                )
            self._groups[group] = [spec for spec in specs if spec.key in kept]
        return [
            leg for rung, specs in lost.items() for leg in self._legs(specs, rung, pruned=True)
        ]

    def _rung(self, group: Group, place: int) -> int | None:
        rungs = self._rungs.get(group, ())
        return rungs[place] if place < len(rungs) else None

    def _legs(
        self, specs: Sequence[StudentSpec], until: int | None, *, pruned: bool = False
    ) -> list[Leg]:
        def cost(spec: StudentSpec) -> float:
            return spec.trial.student.width * float(until or spec.trial.training.epochs)

        return [
            Leg(
                key=self._key(cohort, until, pruned=pruned),
                specs=cohort,
                until=until,
                pruned=pruned,
                origins=tuple(
                    dict.fromkeys(
                        self._came_from[spec.key] for spec in cohort if spec.key in self._came_from
                    )
                ),
            )
            for cohort in form_cohorts(specs, cost)
        ]

    def _key(self, specs: Sequence[StudentSpec], until: int | None, *, pruned: bool) -> str:
        digest = hashlib.sha256("\n".join(spec.key for spec in specs).encode()).hexdigest()[:12]
        end = "end" if until is None else f"{until:04d}"
        return f"{self._name}-{end}{'-pruned' if pruned else ''}-{digest}"
