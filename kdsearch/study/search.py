"""The search stage: generation by generation, every lane with the same budget.

A round is one generation of every lane that is not done. All its trials are asked before any is
trained, lane after lane, so their numbers and proposals do not depend on who finishes first.
"""

from collections.abc import Mapping, Sequence

from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution.student import score_of
from kdsearch.results import TrialRecord
from kdsearch.study.crew import Crew
from kdsearch.study.lane import (
    Lane,
    lane_budget,
    lane_epochs,
    lanes_of,
    new_record,
    searched,
)
from kdsearch.study.ledger import Ledger
from kdsearch.study.objective import score_name
from kdsearch.study.paths import StudyPaths
from kdsearch.study.pruning import rung_epochs, survivors
from kdsearch.study.sampler import LaneSampler
from kdsearch.study.space import distributions
from kdsearch.study.warm_start import generation_size, warm_starts

ROUND = "search"
"""Begins the names of a round's checkpoints: one round is open at a time."""


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
            members = {
                lane: [r for r in self._records(lane) if r.key in keys] for lane in self._lanes
            }
            self._crew.prepare_teachers([r for rs in members.values() for r in rs])
            self._crew.listener.stage("search", total=self.total, done=self.done)
            self._crew.train(ROUND, members, rungs=self._rungs, survive=self._survivors)

    def _next_round(self) -> dict[Lane, list[TrialRecord]]:
        current = {lane: self._current_generation(lane) for lane in self._lanes}
        open_generations = [g for g in current.values() if g is not None]
        if not open_generations:
            return {}
        generation = min(open_generations)
        return {
            lane: self._fill(lane, generation)
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

    def _fill(self, lane: Lane, generation: int) -> list[TrialRecord]:
        """The lane's trials of a generation, asked as far as they have not been."""
        records = self._records(lane)
        members = [r for r in records if self._ledger.generation(r) == generation]
        before = len(records) - len(members)
        budget = lane_budget(self._config, lane)
        size = min(generation_size(self._config, lane, self._lanes), budget - before)
        if members and self._has_begun(members):
            return members
        warm = self._warm_starts(lane, generation, most=-(-size // 2))
        starts = [*warm, *[None] * (size - len(warm))]
        return members + self._ask(lane, generation, starts[len(members) :])

    def _has_begun(self, members: Sequence[TrialRecord]) -> bool:
        return self._paths.has_begun(ROUND) or any(r.state != "RUNNING" for r in members)

    def _warm_starts(
        self, lane: Lane, generation: int, *, most: int
    ) -> tuple[dict[str, Scalar], ...]:
        # Of this generation nothing has been trained yet, so that of the other lanes' trials the
        # complete ones, which alone count, are the same after a kill.
        earlier = [
            r
            for r in self._ledger.records()
            if r.stage == "search"
            and not (lane.holds(r) and self._ledger.generation(r) >= generation)
        ]
        return warm_starts(self._config, lane, self._lanes, earlier=earlier, most=most)

    def _ask(
        self, lane: Lane, generation: int, starts: Sequence[Mapping[str, Scalar] | None]
    ) -> list[TrialRecord]:
        """One trial for each of `starts`: with these settings, or the sampler's if None."""
        trials = self._ledger.trials(lane.arm)
        history = [trials[record.trial] for record in self._records(lane)]
        sampler = LaneSampler(self._config, lane, history)
        space = distributions(self._config, searched(self._config, lane.arm))
        asked: list[TrialRecord] = []
        for start in starts:
            number = self._ledger.next_number("search", lane.arm)
            tuned, remembered = sampler.ask(number, start)
            record = new_record(self._config, lane, tuned, trial=number)
            asked.append(
                self._ledger.add(record, space, generation=generation, system_attrs=remembered)
            )
        return asked

    def _survivors(self, lane: Lane, rung: int, scores: Mapping[str, float]) -> frozenset[str]:
        records = self._records(lane)
        index = {record.key: position for position, record in enumerate(records)}
        present = [r for r in records if r.key in scores]
        generation = self._ledger.generation(present[0])
        earlier = {
            index[r.key]: self._score_at(r, rung)
            for r in records
            if r.state in ("COMPLETE", "PRUNED")
            and len(r.history) >= rung
            and self._ledger.generation(r) < generation
        }
        kept = survivors(
            self._config.pruner,
            rung=self._rungs[lane].index(rung),
            rungs=self._rungs[lane],
            scores={index[key]: score for key, score in scores.items()},
            earlier=earlier,
        )
        return frozenset(record.key for record in present if index[record.key] in kept)

    def _score_at(self, record: TrialRecord, rung: int) -> float:
        name = score_name(self._config)
        return max(score_of(metrics, name) for metrics in record.history[:rung])

    def _records(self, lane: Lane) -> list[TrialRecord]:
        return [r for r in lane.of(self._ledger.records()) if r.stage == "search"]
