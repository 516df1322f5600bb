"""The confirm stage: the best settings of every lane on fresh seeds, and the test set."""

import itertools
from collections.abc import Sequence

from kdsearch.analysis.response.response import Response
from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord, best_candidate, confirmed_choice, strata_of
from kdsearch.results.pareto import pareto_front
from kdsearch.study.crew import Crew
from kdsearch.study.proposal.choice import find_candidates, num_settings, study_response
from kdsearch.study.proposal.lane import lanes_of, searched, weights_seed
from kdsearch.study.proposal.space import distributions
from kdsearch.study.round import Round
from kdsearch.study.storage.ledger import Ledger
from kdsearch.study.storage.paths import StudyPaths

ROUND = "confirm"
"""Begins the names of the stage's checkpoints."""


def selected_trials(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    """The search trials whose settings are confirmed: the candidates of every lane.

    In a Pareto study that is every trial on the lane's front.
    """
    return tuple(itertools.chain.from_iterable(_candidates_by_lane(config, records)))


def chosen_trials(config: StudyConfig, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """The search trials whose settings count: of every lane the best candidate by its runs.

    Before a lane is confirmed that is its first candidate; in a Pareto study all are chosen.
    """
    runs = [r for r in records if r.stage == "confirm"]
    chosen: list[TrialRecord] = []
    for candidates in _candidates_by_lane(config, records):
        if len(config.objective) > 1:
            chosen += candidates
            continue
        own = [r for r in runs if (r.arm, r.stratum) == (candidates[0].arm, candidates[0].stratum)]
        best = best_candidate([r.trial for r in candidates], own, config.objective[0])
        chosen += [r for r in candidates if r.trial == best]
    return tuple(chosen)


def _candidates_by_lane(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> list[list[TrialRecord]]:
    """The candidates of every lane that has any, the most promising first.

    Once they have been confirmed they stand until the lane's search goes on; where the study
    asks for more of them since, others join. They are found on validation alone.
    """
    found: list[list[TrialRecord]] = []
    response: Response | None = None
    is_fitted = False
    for lane in lanes_of(config, strata_of(config, records)):
        own = lane.of(records)
        if len(config.objective) > 1:
            complete = [r for r in own if r.stage == "search" and r.state == "COMPLETE"]
            found.append(pareto_front(complete, config.objective))
            continue
        standing = confirmed_choice(own, config.objective[0])
        numbers = standing.candidates if standing is not None and standing.is_current else ()
        by_number = {r.trial: r for r in own if r.stage == "search"}
        taken = [by_number[number] for number in numbers]
        if len(taken) < min(config.confirm.candidates, num_settings(lane, records)):
            if not is_fitted and config.confirm.choose_by == "surface":
                response, is_fitted = study_response(config, records), True
            taken = find_candidates(config, lane, records, response, first=taken)
        found.append(taken)
    return [trials for trials in found if trials]


def confirmed_records(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> tuple[TrialRecord, ...]:
    """Completed confirm runs of the settings that are selected now.

    A raised budget may have found better settings since; runs of the old ones stay in the
    storage but are no longer results.
    """
    current = {(r.arm, r.trial) for r in selected_trials(config, records)}
    return tuple(
        r
        for r in records
        if r.stage == "confirm" and r.state == "COMPLETE" and (r.arm, r.trial) in current
    )


class Confirm:
    """Trains what is still missing of the confirm stage."""

    def __init__(self, config: StudyConfig, ledger: Ledger, crew: Crew, paths: StudyPaths) -> None:
        self._config = config
        self._paths = paths
        self._ledger = ledger
        self._crew = crew

    def run(self) -> None:
        """Add the missing replicates, train them, and measure teachers and students on test."""
        generation = self._next_generation()
        lanes = _candidates_by_lane(self._config, self._ledger.records())
        for replicate in range(1, self._config.confirm.replicates + 1):
            for candidates in lanes:
                for trial in candidates:
                    self._add(trial, candidates, replicate, generation)
        records = [r for r in self._ledger.records() if r.stage == "confirm"]
        running = [r for r in records if r.state == "RUNNING"]
        if not running:
            return
        done = len(records) - len(running)
        self._crew.prepare_teachers(running)
        self._crew.listener.stage("confirm", total=len(records), done=done)
        self._crew.measure_test(running)
        self._crew.train(
            Round(ROUND, {ROUND: self._open_generations(records)}),
            rungs={},
            survive=lambda _group, _rung, scores: frozenset(scores),
        )

    def _next_generation(self) -> int:
        """A new one, or the last one if a kill may have cut its adding short."""
        records = [r for r in self._ledger.records() if r.stage == "confirm"]
        if not records:
            return 0
        last = max(self._ledger.generation(r) for r in records)
        latest = [r for r in records if self._ledger.generation(r) == last]
        begun = self._paths.has_begun(ROUND)
        return last + (begun or any(r.state != "RUNNING" for r in latest))

    def _open_generations(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The runs that were added together with one that has not ended, whatever ended since."""
        running = {self._ledger.generation(r) for r in records if r.state == "RUNNING"}
        return [r for r in records if self._ledger.generation(r) in running]

    def _add(
        self,
        trial: TrialRecord,
        candidates: Sequence[TrialRecord],
        replicate: int,
        generation: int,
    ) -> None:
        records = self._ledger.records()
        runs = [r for r in records if r.stage == "confirm" and r.replicate == replicate]
        if any((r.arm, r.trial) == (trial.arm, trial.trial) for r in runs):
            return
        searched_trials = sum(
            (r.stage, r.arm, r.stratum) == ("search", trial.arm, trial.stratum) for r in records
        )
        together = len(candidates) > 1 and len(self._config.objective) == 1
        seed = weights_seed(self._config, trial.settings, stage="confirm", replicate=replicate)
        record = TrialRecord(
            **trial.model_dump(include=IDENTITY),
            stage="confirm",
            state="RUNNING",
            replicate=replicate,
            searched=searched_trials,
            candidates=tuple(r.trial for r in candidates) if together else (),
            seed=seed,
        )
        space = distributions(self._config, searched(self._config, record.arm))
        self._ledger.add(record, space, generation=generation)


IDENTITY = {
    "study",
    "arm",
    "trial",
    "settings",
    "stratum",
    "temperature",
    "alpha",
    "width",
    "ensemble_size",
    "learning_rate",
}
"""What a confirm run has in common with the search trial whose settings it confirms."""
