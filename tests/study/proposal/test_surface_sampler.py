"""Proposals from one surface through all strata and both arms, on scores that are known."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import Stage, TrialRecord
from kdsearch.study.proposal.choice import ranked_trials
from kdsearch.study.proposal.lane import (
    Lane,
    Proposal,
    lanes_of,
    new_record,
    nuisances,
    on_fresh_seed,
    order_seed,
    weights_seed,
)
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.proposal.space import distributions
from kdsearch.study.proposal.surface_sampler import SurfaceSampler, draws_averaged
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, history

EVERY_KIND = {
    "temperature": {"role": "nuisance", "low": 1, "high": 20, "log": True},
    "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.1},
    "learning_rate": {"role": "nuisance", "low": 1e-4, "high": 1e-1, "log": True},
    "ensemble_size": {"role": "nuisance", "values": [1, 2]},
    "training.epochs": {"role": "nuisance", "low": 2, "high": 9, "step": 3},
    "training.batch_size": {"role": "nuisance", "low": 16, "high": 64},
    "training.optimizer": {"role": "nuisance", "values": ["adam", "sgd"]},
    "student.depth": {"role": "nuisance", "low": 1, "high": 3, "log": True},
    "width": {"role": "scientific", "values": [4, 8]},
}
D4, D8, B4, B8 = range(4)


def config_of(**changes: Any) -> StudyConfig:
    return small_study(**({"sampler": {"kind": "surface"}, "budget": {"trials": 24}} | changes))


def lanes(config: StudyConfig) -> tuple[Lane, ...]:
    return lanes_of(config, config.strata())


def truth(record: TrialRecord) -> float:
    """Best at a rate of 0.01, and at 0.3 of alpha; wide students are better."""
    alpha = 1.0 if record.arm == "baseline" else record.alpha
    off = math.log10(record.learning_rate / 0.01) ** 2 + 2 * (alpha - 0.3) ** 2
    return 0.9 - 0.1 * off + (0.02 if record.width == 8 else 0.0)


def ended(record: TrialRecord, accuracy: float | None = None) -> TrialRecord:
    value = truth(record) if accuracy is None else accuracy
    update = {"state": "COMPLETE", "val": evaluation(value), "history": history(value)}
    return record.model_copy(update=update)


def lived(config: StudyConfig, each: int, *, which: Sequence[int] = ()) -> list[TrialRecord]:
    """Complete trials of a Sobol sequence, as a study begins with."""
    found: list[TrialRecord] = []
    for number, lane in enumerate(lanes(config)):
        if which and number not in which:
            continue
        sampler = LaneSampler(config, lane, [])
        for _ in range(each):
            trial = sum(r.arm == lane.arm for r in found)
            found.append(ended(new_record(config, lane, sampler.ask(trial), trial=trial)))
    return found


def explored(
    config: StudyConfig,
    records: Sequence[TrialRecord],
    lane: int = D4,
    *,
    generation: int = 2,
    size: int = 6,
    spent: float = 0.5,
) -> list[dict[str, Scalar]]:
    sampler = SurfaceSampler(config, records)
    found = sampler.explore(lanes(config)[lane], generation, size, spent=spent)
    assert found is not None
    assert all(proposal == Proposal(proposal.tuned) for proposal in found)
    return [proposal.tuned for proposal in found]


def test_proposals_depend_on_the_trials_that_have_ended_and_on_nothing_else() -> None:
    config = config_of()
    records = lived(config, 6)
    first = explored(config, records)
    assert first == explored(config, records)
    running = new_record(config, lanes(config)[D4], Proposal(first[0]), trial=90)
    confirm = records[0].model_copy(update={"stage": "confirm", "replicate": 1})
    assert first == explored(config, [*records, running, confirm])
    sampler = SurfaceSampler(config, records)  # one of a round: who was asked before is no matter
    sampler.explore(lanes(config)[D8], 2, 6, spent=0.5)
    again = sampler.explore(lanes(config)[D4], 2, 6, spent=0.5)
    assert again is not None
    assert [proposal.tuned for proposal in again] == first
    assert first != explored(config, [*records, ended(running)])
    assert first != explored(config, records, generation=3)
    assert first != explored(config, records, D8)
    assert first != explored(config_of(seed=1), records)


@pytest.mark.parametrize("lane", [D4, D8, B4, B8])
def test_proposals_are_within_every_kind_of_range_and_distinct(lane: int) -> None:
    config = config_of(search=EVERY_KIND)
    records = lived(config, 6)
    found = explored(config, records, lane, size=40)
    tuned = nuisances(config, lanes(config)[lane].arm)
    assert len(found) == len({tuple(sorted(s.items())) for s in found}) == 40
    for name, distribution in distributions(config, tuned).items():
        values = [settings[name] for settings in found]
        assert all(distribution._contains(distribution.to_internal_repr(v)) for v in values)
        assert len(set(values)) > 1
        kinds = {type(value) for value in values}
        assert kinds == ({int} if config.is_integer(name) else {type(values[0])})
    assert all(set(settings) == set(tuned) for settings in found)
    for settings in found:  # what a record needs, and what a worker is told
        new_record(config, lanes(config)[lane], Proposal(settings), trial=0)


def test_it_looks_where_the_surface_is_high() -> None:
    config = config_of()
    records = lived(config, 8)
    rates = {
        spent: [math.log10(float(s["learning_rate"]) / 0.01)
                for s in explored(config, records, size=12, spent=spent)]
        for spent in (0.3, 0.9)
    }  # fmt: skip
    before = [math.log10(r.learning_rate / 0.01) for r in records]
    assert np.abs(rates[0.3]).mean() < 0.7 * np.abs(before).mean()
    assert np.abs(rates[0.9]).max() < 0.5, "near its end it looks at what is good only"


def test_a_stratum_learns_from_its_neighbour_and_from_the_other_arm() -> None:
    config = config_of()
    for known, asked in ((D8, D4), (B4, D4), (D4, B8)):
        records = lived(config, 20, which=[known])
        found = explored(config, records, asked, size=12, spent=0.9)
        off = [abs(math.log10(float(s["learning_rate"]) / 0.01)) for s in found]
        assert np.median(off) < 0.35, "a Sobol sequence has 0.5"


def test_there_is_no_surface_before_sixteen_trials_and_nothing_to_ask_without_settings() -> None:
    config = config_of()
    records = lived(config, 4)
    assert SurfaceSampler(config, records).response is not None
    few = SurfaceSampler(config, records[1:])
    assert few.response is None
    assert few.explore(lanes(config)[D4], 1, 6, spent=0.5) is None
    search = {n: p for n, p in EVERY_KIND.items() if n in ("alpha", "temperature", "width")}
    untuned = config_of(search=search)
    taught = lived(untuned, 8, which=[D4, D8])
    assert SurfaceSampler(untuned, taught).explore(lanes(untuned)[B4], 1, 1, spent=0) is None


def test_who_asks_for_more_than_there_are_candidates_gets_them_all() -> None:
    config = config_of()
    found = explored(config, lived(config, 6), size=1000)
    assert 256 < len(found) < 1000
    assert len({tuple(settings.items()) for settings in found}) == len(found)


def at_one(found: Sequence[dict[str, Scalar]]) -> list[dict[str, Scalar]]:
    return [settings for settings in found if settings["alpha"] == 1.0]


@pytest.mark.parametrize(
    "alpha",
    [
        {"role": "nuisance", "low": 0.0, "high": 1.0},
        {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.5},
        {"role": "nuisance", "values": [0, 0.5, 1]},
    ],
)
def test_the_best_settings_on_hard_labels_are_tried_once_by_the_distilled_lane(
    alpha: dict[str, object],
) -> None:
    config = config_of(search__alpha=alpha)
    records = [r for r in lived(config, 8) if r.arm == "baseline" or r.alpha < 1.0]
    first = explored(config, records, D8)[0]
    response = SurfaceSampler(config, records).response
    twin = ranked_trials(config, lanes(config)[B8], records, response)[0]
    assert (first["alpha"], first["learning_rate"]) == (1.0, twin.learning_rate)
    mine = ranked_trials(config, lanes(config)[D8], records, response)[0]
    assert first["temperature"] == mine.settings["temperature"], "the rest is its own best"
    tried = ended(new_record(config, lanes(config)[D8], Proposal(first), trial=90))
    again = explored(config, [*records, tried], D8)
    assert first not in again
    other = explored(config, [*records, tried], D4)[0]
    assert other["alpha"] == 1.0, "every stratum has its own"
    assert all("alpha" not in settings for settings in explored(config, records, B8))


@pytest.mark.parametrize(
    "alpha",
    [
        {"role": "nuisance", "low": 0.0, "high": 0.99},
        {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.3},
        {"role": "nuisance", "values": [0.0, 0.5]},
    ],
)
def test_alpha_is_not_one_where_the_study_does_not_allow_it(alpha: dict[str, object]) -> None:
    config = config_of(search__alpha=alpha)
    assert at_one(explored(config, lived(config, 8), size=20)) == []


def test_a_distilled_lane_without_a_baseline_has_nothing_to_try_of_it() -> None:
    config = config_of(confirm={"replicates": 2, "baseline": False})
    assert at_one(explored(config, lived(config, 12))) == []


def test_a_new_stratum_tries_the_hard_labels_best_before_it_has_trials_of_its_own() -> None:
    config = config_of()
    records = lived(config, 10, which=[D4, B4, B8])
    first = explored(config, records, D8)[0]
    assert first["alpha"] == 1.0
    assert first["temperature"] == pytest.approx(math.sqrt(10)), "the middle of its range"


def settled(
    config: StudyConfig, lane: Lane, proposals: Sequence[Proposal], own: Sequence[TrialRecord]
) -> list[TrialRecord]:
    """Records of proposals as a study asks them, one after the other."""
    records = list(own)
    for proposal in proposals:
        number = 100 + len(records)
        fresh = on_fresh_seed(proposal, records)
        records.append(new_record(config, lane, fresh, trial=number))
    return records[len(own) :]


def test_seeds_of_the_search_are_other_ones_than_those_of_the_confirm_stage() -> None:
    config = config_of()
    settings: dict[str, Scalar] = {"width": 4, "learning_rate": 0.01}
    numbered: list[tuple[Stage, int]] = [("search", k) for k in range(4)]
    numbered += [("confirm", k) for k in (1, 2, 3)]
    weights = [weights_seed(config, settings, stage=s, replicate=k) for s, k in numbered]
    orders = [order_seed(config, stage=s, replicate=k) for s, k in numbered]
    assert len(set(weights)) == len(set(orders)) == 7


def test_settings_that_were_asked_before_get_the_next_seed_even_if_they_run() -> None:
    config = config_of()
    lane, other = lanes(config)[D4], lanes(config)[D8]
    proposal = Proposal({"temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01,
                         "ensemble_size": 1})  # fmt: skip
    assert on_fresh_seed(proposal, []) == proposal
    records = settled(config, lane, [proposal] * 3, [])
    assert [(r.repeats, r.replicate) for r in records] == [(None, 0), (100, 1), (100, 2)]
    assert len({r.seed for r in records}) == 3
    assert {r.state for r in records} == {"RUNNING"}
    changed = Proposal(proposal.tuned | {"ensemble_size": 2})
    assert on_fresh_seed(changed, records) == changed
    beside = new_record(config, other, proposal, trial=0)
    assert on_fresh_seed(proposal, other.of([beside])).repeats == 0


def test_more_draws_are_averaged_the_more_is_spent() -> None:
    shares = (0.0, 0.49, 0.5, 0.74, 0.75, 0.99, 1.0)
    assert [draws_averaged(share) for share in shares] == [1, 1, 2, 2, 8, 8, 8]
