"""The time left, told by a clock that the test turns."""

import random
from collections.abc import Iterator

import pytest

from kdsearch.config import StudyConfig
from kdsearch.data import load_dataset
from kdsearch.results import TrialRecord
from kdsearch.study.planning.cost import LaneCost
from kdsearch.study.planning.workload import Workload
from kdsearch.study.proposal.lane import Lane, lane_budget, lanes_of
from kdsearch.testing.small_study import small_study
from tests.study.records import make_record

WIDTHS = [4, 64, 1024]
SECONDS_PER_EPOCH = {4: 0.01, 64: 0.03, 1024: 0.9}
"""What training takes here; the estimate knows nothing of it."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wide_study(**changes: object) -> StudyConfig:
    return small_study(
        search__width={"role": "scientific", "values": WIDTHS}, budget__trials=12, **changes
    )


def records_of(config: StudyConfig) -> Iterator[tuple[Lane, TrialRecord]]:
    """Every student in the order in which a study trains them: rounds of all lanes, confirm."""
    lanes = lanes_of(config, config.strata())
    for start in range(0, 12, 4):
        for index, lane in enumerate(lanes):
            for trial in range(start, min(start + 4, lane_budget(config, lane))):
                yield lane, make_record(config, trial, lane=index, val=0.8)
    for index, lane in enumerate(lanes):
        for replicate in (1, 2):
            yield (
                lane,
                make_record(config, 0, lane=index, val=0.8, stage="confirm", replicate=replicate),
            )


def run(config: StudyConfig, *, slow: float, skip: int = 0) -> list[tuple[float, float | None]]:
    """Train all students after the first `skip`, which ended before; the time and what is told."""
    clock = Clock()
    workload = Workload(config, load_dataset(config.data), clock=clock)
    workload.expect(config.strata())
    chance = random.Random(0)
    students = [record for _, record in records_of(config)]
    workload.resumed([timed(r, slow) for r in students[:skip]])
    told: list[tuple[float, float | None]] = []
    for record in students[skip:]:
        ended = timed(record, slow)
        assert ended.train_seconds is not None
        for number in range(1, ended.epochs + 1):
            workload.epoch(record, number)
            clock.now += chance.uniform(0.5, 1.5) * ended.train_seconds / ended.epochs
        clock.now += 0.02  # bookkeeping
        workload.ended(ended)
        told.append((clock.now, workload.seconds_left()))
    return told


def timed(record: TrialRecord, slow: float) -> TrialRecord:
    seconds = slow * SECONDS_PER_EPOCH[record.width] * record.epochs
    return record.model_copy(update={"train_seconds": seconds})


@pytest.mark.parametrize(("slow", "skip"), [(1.0, 0), (5.0, 0), (1.0, 30), (0.1, 0)])
def test_the_time_left_is_right_within_a_factor_of_two_after_a_tenth(
    slow: float, skip: int
) -> None:
    told = run(wide_study(), slow=slow, skip=skip)
    begin, end = 100.0, told[-1][0]
    late = [(now, left) for now, left in told if now > begin + 0.1 * (end - begin)]
    for now, left in late:
        if end - now > 0.02 * (end - begin):
            assert left is not None
            assert (end - now) / 2 < left < 2 * (end - now)
    assert late[-1][1] == pytest.approx(0.0, abs=1e-6)


def test_nothing_is_said_before_anything_is_known() -> None:
    config = wide_study()
    workload = Workload(config, load_dataset(config.data))
    workload.expect(config.strata())
    assert workload.seconds_left() is None
    _, first = next(records_of(config))
    workload.epoch(first, 1)
    assert workload.seconds_left() is None


def test_sizes_that_a_ladder_does_not_climb_to_are_no_longer_counted() -> None:
    config, clock = wide_study(), Clock()
    workload = Workload(config, load_dataset(config.data), clock=clock)
    workload.expect(config.strata())
    for _, record in records_of(config):
        if record.width == 4:
            clock.now += 0.1
            workload.ended(timed(record, 1.0))
    before = workload.seconds_left()
    assert before is None or before > 1
    workload.expect([{"width": 4}])
    assert workload.seconds_left() == pytest.approx(0.0)


def test_a_refit_is_one_more_training_on_more_samples() -> None:
    plain, refit = wide_study(), wide_study(confirm__refit=True)
    dataset = load_dataset(plain.data)
    lane = lanes_of(plain, plain.strata())[0]
    once, twice = (LaneCost.of(config, lane, dataset) for config in (plain, refit))
    more = 2 + len(dataset.val) / len(dataset.train)
    assert twice.confirm == pytest.approx(more * once.confirm)
    assert twice.search == once.search
