"""How much of a study's work is left, and how long that takes at the pace so far.

Work is counted in estimated core-seconds: students of a wide stratum are not those of a narrow
one. What students that have ended took corrects the estimate of their lane; how fast work gets
done, with workers, bookkeeping and other people's programs in the way, is read off the clock.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from kdsearch.config import Scalar, StudyConfig
from kdsearch.data import Dataset
from kdsearch.results import Stage, TrialRecord
from kdsearch.study.planning.cost import HARNESS_SECONDS, LaneCost
from kdsearch.study.proposal.lane import Lane, lane_budget, lane_candidates, lane_epochs, lanes_of

LEAST_SHARE = 0.02
"""Of the work done in this run, before which nothing is said of its pace."""

LaneName = tuple[str, tuple[tuple[str, Scalar], ...]]


class Workload:
    """Told of strata to come, epochs and ends; asked for the time left."""

    def __init__(
        self,
        config: StudyConfig,
        dataset: Dataset,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._dataset, self._clock = config, dataset, clock
        self._lanes: dict[LaneName, Lane] = {}
        self._costs: dict[LaneName, LaneCost] = {}
        self._ended: dict[tuple[LaneName, Stage], int] = {}
        self._took: dict[LaneName, tuple[float, int]] = {}
        """Seconds and epochs of the students that have ended."""
        self._open: dict[str, tuple[LaneName, Stage, int]] = {}
        """Epochs so far of each student in training, by its key."""
        self._done = 0.0
        """Work of students that ended in this run."""
        self._began: float | None = None

    def expect(self, strata: Sequence[Mapping[str, Scalar]]) -> None:
        """The study will have students of these strata, and of no others."""
        lanes = lanes_of(self._config, strata)
        self._lanes = {_name(lane.arm, dict(lane.stratum)): lane for lane in lanes}
        for name, lane in self._lanes.items():
            if name not in self._costs:
                self._costs[name] = LaneCost.of(self._config, lane, self._dataset)

    def resumed(self, records: Sequence[TrialRecord]) -> None:
        """Students that ended before this run."""
        for record in records:
            if record.state != "RUNNING":
                self._count(record)

    def epoch(self, record: TrialRecord, number: int) -> None:
        """A student has finished epoch `number`."""
        self._begin()
        name = _name(record.arm, record.stratum)
        self._open[record.key] = (name, record.stage, number)

    def ended(self, record: TrialRecord) -> None:
        """A student's training has ended."""
        self._begin()
        self._open.pop(record.key, None)
        self._count(record)
        name = _name(record.arm, record.stratum)
        if name in self._lanes:
            self._done += HARNESS_SECONDS + record.epochs * self._epoch_cost(name)

    def seconds_left(self) -> float | None:
        """Wall time to the end of the last student; None while too little is known."""
        if self._began is None:
            return None
        begun = sum(number * self._epoch_cost(name) for name, _, number in self._open.values())
        done, left = self._done + begun, self._left() - begun
        if done < LEAST_SHARE * (done + left):
            return None
        return max(left, 0.0) * (self._clock() - self._began) / done

    def _begin(self) -> None:
        if self._began is None:
            self._began = self._clock()

    def _count(self, record: TrialRecord) -> None:
        name = _name(record.arm, record.stratum)
        key = (name, record.stage)
        self._ended[key] = self._ended.get(key, 0) + 1
        if record.train_seconds is not None and record.epochs:
            seconds, epochs = self._took.get(name, (0.0, 0))
            self._took[name] = (seconds + record.train_seconds, epochs + record.epochs)

    def _left(self) -> float:
        config, left = self._config, 0.0
        for name, lane in self._lanes.items():
            cost, ratio = self._costs[name], self._ratio(name)
            runs = lane_candidates(config, lane) * config.confirm.replicates
            for stage, total, each in (
                ("search", lane_budget(config, lane), cost.search),
                ("confirm", runs, cost.confirm),
            ):
                missing = max(total - self._ended.get((name, stage), 0), 0)
                left += missing * (HARNESS_SECONDS + each * ratio)
        return left

    def _ratio(self, name: LaneName) -> float:
        """What training took over what was estimated: of the lane, else of all lanes."""
        known = [name] if name in self._took else [n for n in self._took if n in self._lanes]
        took = sum(self._took[n][0] for n in known)
        expected = sum(self._took[n][1] * self._estimated_epoch(n) for n in known)
        return took / expected if expected else 1.0

    def _epoch_cost(self, name: LaneName) -> float:
        return self._estimated_epoch(name) * self._ratio(name) if name in self._lanes else 0.0

    def _estimated_epoch(self, name: LaneName) -> float:
        lane = self._lanes.get(name)
        if lane is None:
            return 0.0
        return self._costs[name].whole / lane_epochs(self._config, lane)


def _name(arm: str, stratum: Mapping[str, Scalar]) -> LaneName:
    return arm, tuple(sorted(stratum.items()))
