"""The search stage: generation by generation, every lane with the same budget.

A round is one generation of every lane that is not done. All its trials are asked before any is
trained, lane after lane, so their numbers and proposals do not depend on who finishes first.
"""

from collections.abc import Mapping, Sequence

from kdsearch.analysis.response.forecast import Forecast
from kdsearch.analysis.response.response import Encoding, forecast_at, who_of
from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.results.score import ranked_by, score_by
from kdsearch.study.crew import Crew
from kdsearch.study.proposal.generation import Generation, next_generation
from kdsearch.study.proposal.lane import (
    Lane,
    Proposal,
    lane_budget,
    lane_epochs,
    lanes_of,
    new_record,
    on_fresh_seed,
    searched,
)
from kdsearch.study.proposal.pruning import is_exempt, rung_epochs, survivors
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.proposal.space import distributions
from kdsearch.study.proposal.surface_sampler import SurfaceSampler
from kdsearch.study.proposal.warm_start import warm_starts
from kdsearch.study.round import Round
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.paths import StudyPaths

ROUND = "search"
"""Begins the names of a round's checkpoints: one round is open at a time."""
Start = Proposal | Mapping[str, Scalar] | None
"""A trial, settings for the sampler to begin with, or nothing."""


class Search:
    """Asks, trains and tells until every lane has spent its budget."""

    def __init__(
        self,
        config: StudyConfig,
        ledger: Ledger,
        crew: Crew,
        paths: StudyPaths,
        *,
        strata: Sequence[Mapping[str, Scalar]],
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._crew = crew
        self._paths = paths
        self._lanes = lanes_of(config, strata)
        self._encoding = Encoding.of(config)
        self._rungs = {
            lane: rung_epochs(config.pruner, lane_epochs(config, lane)) for lane in self._lanes
        }

    @property
    def total(self) -> int:
        """Search trials of all lanes together."""
        return sum(lane_budget(self._config, lane) for lane in self._lanes)

    @property
    def done(self) -> int:
        """Search trials that have ended."""
        records = [r for lane in self._lanes for r in self._records(lane)]
        return sum(record.state != "RUNNING" for record in records)

    def run(self) -> None:
        """Spend what is left of the budget, adopting trials that an earlier run left RUNNING."""
        while lanes := self._next_round():
            running = [r.key for rs in lanes.values() for r in rs if r.state == "RUNNING"]
            keys = self._ledger.open_round(running)
            students = {
                lane: [r for r in self._records(lane) if r.key in keys] for lane in self._lanes
            }
            self._crew.prepare_teachers([r for rs in students.values() for r in rs])
            self._crew.listener.stage("search", total=self.total, done=self.done)
            self._crew.train(Round(ROUND, students), rungs=self._rungs, survive=self._survivors)

    def _next_round(self) -> dict[Lane, list[TrialRecord]]:
        current = {lane: self._current_generation(lane) for lane in self._lanes}
        open_generations = [g for g in current.values() if g is not None]
        if not open_generations:
            return {}
        generation = min(open_generations)
        surface = SurfaceSampler(self._config, self._ledger.records())
        return {
            lane: self._fill(lane, generation, surface)
            for lane in self._lanes
            if current[lane] == generation
        }

    def _current_generation(self, lane: Lane) -> int | None:
        """The generation that the lane is in; None if it has spent its budget."""
        records = self._records(lane)
        if not records:
            return 0
        last = self._ledger.generation(records[-1])
        if any(r.state == "RUNNING" for r in records):
            return last
        return last + 1 if len(records) < lane_budget(self._config, lane) else None

    def _fill(self, lane: Lane, generation: int, surface: SurfaceSampler) -> list[TrialRecord]:
        """The lane's trials of a generation, asked as far as they have not been."""
        records = self._records(lane)
        present = [r for r in records if self._ledger.generation(r) == generation]
        if present and self._has_begun(present):
            return present
        asked = len(records) - len(present)
        plan = next_generation(self._config, lane, self._lanes, asked=asked)
        if plan is None:
            return present
        proposals = self._proposals(lane, generation, plan, surface)
        return present + self._ask(lane, generation, proposals[len(present) :])

    def _has_begun(self, present: Sequence[TrialRecord]) -> bool:
        return self._paths.has_begun(ROUND) or any(r.state != "RUNNING" for r in present)

    def _proposals(
        self, lane: Lane, generation: int, plan: Generation, surface: SurfaceSampler
    ) -> list[Start]:
        """One for each trial of a generation; None, or settings, leaves it to the lane's sampler.

        Of this generation nothing has been trained yet, so that what has ended, which alone
        counts, is the same after a kill.
        """
        found: list[Start] = []
        if self._config.sampler_kind == "surface":
            found += surface.explore(lane, generation, plan.size, spent=plan.spent) or []
        else:
            found += self._warm_starts(lane, generation, most=-(-plan.size // 2))
        return [*found, *[None] * (plan.size - len(found))]

    def _warm_starts(
        self, lane: Lane, generation: int, *, most: int
    ) -> tuple[dict[str, Scalar], ...]:
        earlier = [
            r
            for r in self._ledger.records()
            if r.stage == "search"
            and not (lane.holds(r) and self._ledger.generation(r) >= generation)
        ]
        return warm_starts(self._config, lane, self._lanes, earlier=earlier, most=most)

    def _ask(self, lane: Lane, generation: int, starts: Sequence[Start]) -> list[TrialRecord]:
        """One trial for each of `starts`: what it says, or what the sampler makes of it."""
        trials = self._ledger.trials(lane.arm)
        history = [trials[record.trial] for record in self._records(lane)]
        sampler = LaneSampler(self._config, lane, history)
        space = distributions(self._config, searched(self._config, lane.arm))
        asked: list[TrialRecord] = []
        for start in starts:
            number = self._ledger.next_number("search", lane.arm)
            proposal = start if isinstance(start, Proposal) else sampler.ask(number, start)
            if isinstance(start, Proposal) or self._config.sampler_kind == "surface":
                proposal = on_fresh_seed(proposal, self._records(lane))
            record = new_record(self._config, lane, proposal, trial=number)
            attrs = proposal.remembered
            asked.append(
                self._ledger.add(record, space, generation=generation, system_attrs=attrs)
            )
        return asked

    def _survivors(self, lane: Lane, rung: int, scores: Mapping[str, float]) -> frozenset[str]:
        """Who goes on: the exempt, and the best by forecast; all, where rungs forecast badly."""
        records = self._records(lane)
        index = {record.key: position for position, record in enumerate(records)}
        present = [r for r in records if r.key in scores]
        generation = self._ledger.generation(present[0])
        forecast = self._forecast(rung)
        if forecast is None or not forecast.tells(self._config.pruner.min_correlation):
            return frozenset(scores)
        earlier = [
            r
            for r in records
            if r.state in ("COMPLETE", "PRUNED")
            and len(r.history) >= rung
            and self._ledger.generation(r) < generation
        ]
        ranking = ranked_by(self._config.objective)
        known = dict(scores) | {r.key: score_by(r, rung, ranking) for r in earlier}

        def expected(trials: Sequence[TrialRecord]) -> dict[int, float]:
            reached = [known[r.key] for r in trials]
            ends = forecast.predict(self._encoding.places([who_of(r) for r in trials]), reached)
            return {index[r.key]: float(end) for r, end in zip(trials, ends, strict=True)}

        kept = survivors(
            self._config.pruner,
            rung=self._rungs[lane].index(rung),
            rungs=self._rungs[lane],
            scores=expected(present),
            earlier=expected(earlier),
        )
        return frozenset(
            r.key
            for r in present
            if index[r.key] in kept
            or r.repeats is not None
            or is_exempt(self._config.pruner, index[r.key])
        )

    def _forecast(self, rung: int) -> Forecast | None:
        """What a rung tells, from the trials of earlier rounds."""
        keys = self._ledger.open_round(())
        ended = [r for r in self._ledger.records() if r.stage == "search" and r.key not in keys]
        return forecast_at(self._config, self._encoding, rung, ended)

    def _records(self, lane: Lane) -> list[TrialRecord]:
        return [r for r in lane.of(self._ledger.records()) if r.stage == "search"]
