"""Proposals from one surface through the trials of all strata and both arms.

Neighbouring strata want similar settings, and hard labels are alpha 1: what one lane learns
serves the others. A lane's next generation is where draws of the surface are highest (Thompson
sampling), looked for among a Sobol design and the surroundings of its best settings. A surface
is a function of the trials that have ended, so it needs no state of its own.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from kdsearch.analysis.response.response import Response, Who
from kdsearch.analysis.response.surface import Surface
from kdsearch.config import HARD_LABELS, Scalar, StudyConfig, applies_to_baseline
from kdsearch.config.seed import derive_seed
from kdsearch.results import TrialRecord
from kdsearch.study.proposal.choice import ranked_trials, study_response
from kdsearch.study.proposal.lane import Lane, Proposal, nuisances
from kdsearch.study.proposal.space import distributions, from_unit, to_unit

SPREAD_CANDIDATES = 256
CENTRES = 4
"""Settings of the lane whose surroundings are looked at."""
CANDIDATES_AROUND = 24
"""For each of them."""
REACH = 0.1
"""Standard deviation of a step away from a centre, as a share of the range."""
ALPHA = "alpha"
SCALES = 4
"""Length scales that draws are made under in turn: with few trials they are as uncertain as the
surface, and one guess of them makes every lane look where it has looked."""
COOLING = ((0.5, 1), (0.75, 2), (1.0, 8))
"""Up to which share of the budget how many draws are averaged: a mean of draws looks less at what
might be good and more at what is."""

Settings = dict[str, Scalar]


class SurfaceSampler:
    """Proposes for every lane from the trials that have ended."""

    def __init__(self, config: StudyConfig, records: Sequence[TrialRecord]) -> None:
        """Fit the surface, if there are enough trials.

        Args:
            config: A study with one objective.
            records: Its records; those that run are left out.
        """
        self._config = config
        self._records = [r for r in records if r.stage == "search" and r.state != "RUNNING"]

    @cached_property
    def response(self) -> Response | None:
        """The surface, fitted when it is first needed."""
        return study_response(self._config, self._records)

    @cached_property
    def _surfaces(self) -> list[Surface]:
        """The surface under several scales, the same for all lanes of a round."""
        assert self.response is not None
        seed = derive_seed("scales", self._config.seed, len(self._records))
        return self.response.surface.sampled(SCALES, np.random.default_rng(seed))

    def explore(
        self, lane: Lane, generation: int, size: int, *, spent: float
    ) -> list[Proposal] | None:
        """New settings for a lane.

        Args:
            lane: The lane.
            generation: Its generation's number.
            size: How many; of more than there are candidates, a Sobol sequence gives the rest.
            spent: Share of its budget that came before.

        Returns:
            None while there is no surface: then a Sobol sequence goes on.
        """
        if self.response is None or not nuisances(self._config, lane.arm):
            return None
        rng = self._generator("explore", lane, generation)
        first = self._hard_labels(lane)
        candidates = [*first, *self._candidates(lane, rng)]
        size = min(size, len(candidates))
        people = [self._who(lane, settings) for settings in candidates]
        averaged = draws_averaged(spent)
        each = -(-size // SCALES)
        draws = self.response.draws_of(self._surfaces, people, each * averaged, rng)
        draws = draws.reshape(averaged, each * SCALES, -1).mean(axis=0)[:size]
        chosen: list[int] = list(range(len(first)))
        for draw in draws[len(chosen) :]:
            order = np.argsort(-draw, kind="stable")
            chosen.append(next(int(i) for i in order if int(i) not in chosen))
        return [Proposal(candidates[index]) for index in chosen]

    def _candidates(self, lane: Lane, rng: np.random.Generator) -> list[Settings]:
        space = distributions(self._config, nuisances(self._config, lane.arm))
        units = qmc.Sobol(len(space), scramble=True, rng=rng).random(SPREAD_CANDIDATES)
        around = [
            self._around([to_unit(d, r.settings[name]) for name, d in space.items()], rng)
            for r in ranked_trials(self._config, lane, self._records, self.response)[:CENTRES]
        ]
        return [
            {
                name: from_unit(d, float(u))
                for (name, d), u in zip(space.items(), unit, strict=True)
            }
            for unit in np.concatenate([units, *around])
        ]

    def _around(self, centre: Sequence[float], rng: np.random.Generator) -> NDArray[np.float64]:
        steps = REACH * rng.standard_normal((CANDIDATES_AROUND, len(centre)))
        return np.clip(np.array(centre) + steps, 0.0, np.nextafter(1.0, 0.0))

    def _hard_labels(self, lane: Lane) -> list[Settings]:
        """The best settings of the lane on hard labels, as the distilled lane would try them.

        Only where it may (alpha 1 is in its range) and has not.
        """
        tuned = nuisances(self._config, lane.arm)
        if ALPHA not in tuned or not tuned[ALPHA].allows(HARD_LABELS):
            return []
        if any(not r.is_taught for r in self._records if lane.holds(r)):
            return []
        seen = {n: v for n, v in lane.stratum if applies_to_baseline(n)}
        twin = Lane("baseline", tuple(seen.items()))
        best = ranked_trials(self._config, twin, self._records, self.response)[:1]
        mine = ranked_trials(self._config, lane, self._records, self.response)[:1]
        if not best:
            return []
        rest = {n: mine[0].settings[n] if mine else self._middle(n) for n in tuned}
        return [
            rest | {n: v for n, v in best[0].settings.items() if n in tuned} | {ALPHA: HARD_LABELS}
        ]

    def _middle(self, name: str) -> Scalar:
        (distribution,) = distributions(self._config, {name: self._config.space[name]}).values()
        return from_unit(distribution, 0.5)

    def _who(self, lane: Lane, settings: Mapping[str, Scalar]) -> Who:
        return Who(lane.arm, dict(lane.stratum) | dict(settings))

    def _generator(self, what: str, lane: Lane, generation: int) -> np.random.Generator:
        return np.random.default_rng(
            derive_seed("surface", what, self._config.seed, lane.key, generation)
        )


def draws_averaged(spent: float) -> int:
    """How many draws make one proposal when a share of the budget is spent."""
    return next((count for share, count in COOLING if spent < share), COOLING[-1][1])
