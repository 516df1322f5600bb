"""How far each point of a study is: rows in the study's order, its two arms as columns.

Told of one record after another, so that it serves a running study as well as a stored one.
"""

from collections.abc import Mapping, Sequence

from rich.table import Table

from kdsearch.analysis import wording
from kdsearch.config import Scalar, StudyConfig, applies_to_baseline
from kdsearch.results import Arm, TrialRecord
from kdsearch.results.objective import complete_score, complete_value
from kdsearch.study.proposal.lane import Lane, lane_budget, lane_candidates

ARMS: tuple[tuple[Arm, str], ...] = (("distilled", "distilled"), ("baseline", "hard labels"))
"""Arms, and what they are called."""


class Scoreboard:
    """Counts what ended and keeps the best of the search."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._objective = config.objective[0]
        self._searched: dict[Lane, int] = {}
        self._confirmed: dict[Lane, int] = {}
        self._best: dict[Lane, TrialRecord] = {}
        self._states: dict[str, int] = {}
        self._tried: dict[Lane, None] = {}

    def count(self, record: TrialRecord) -> None:
        """A student whose training has ended, or that is in training."""
        lane = Lane(record.arm, tuple(record.stratum.items()))
        if record.arm == "distilled":
            self._tried[lane] = None
        if record.state == "RUNNING":
            return
        self._states[record.state] = self._states.get(record.state, 0) + 1
        counts = self._confirmed if record.stage == "confirm" else self._searched
        counts[lane] = counts.get(lane, 0) + 1
        if record.stage == "search" and record.state == "COMPLETE":
            best = self._best.get(lane)
            if best is None or self._score(record) > self._score(best):
                self._best[lane] = record

    def table(self) -> Table:
        """One row for each point of the scientific axis."""
        config = self._config
        scientific = tuple(config.parameters("scientific"))
        has_baseline = config.confirm.baseline and bool(config.confirm.replicates)
        arms = ARMS if has_baseline else ARMS[:1]
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        if scientific:
            table.add_column(wording.axis_noun(scientific, is_front=False).one, no_wrap=True)
        heads = [head for _, called in arms for head in (called, "best")]
        for head in [*heads, *(["confirmed"] if config.confirm.replicates else [])]:
            table.add_column(head, justify="right", no_wrap=True)
        shown: set[Lane] = set()
        for stratum in self._strata():
            lanes = [_lane(arm, stratum) for arm, _ in arms]
            # Several rows may share the students without a teacher, which are shown once.
            own = [lane for lane in lanes if lane not in shown]
            shown.update(own)
            cells = [_named(stratum)] if scientific else []
            for lane in lanes:
                cells += self._cells(lane) if lane in own else ["", ""]
            if config.confirm.replicates:
                cells.append(self._confirmed_of(own))
            table.add_row(*cells)
        return table

    def best(self) -> TrialRecord | None:
        """The best distilled student of the search so far, by the first objective."""
        found = (best for lane, best in self._best.items() if lane.arm == "distilled")
        return max(found, key=self._score, default=None)

    def best_in_words(self) -> str:
        """Its score and its settings; empty where there is none."""
        best = self.best()
        if best is None:
            return ""
        settings = ", ".join(
            f"{wording.words(name)} {wording.scalar(value)}"
            for name, value in best.settings.items()
        )
        return f"best so far: {self.score_in_words()}{settings and f' with {settings}'}"

    def losses_in_words(self) -> str:
        """How many were stopped early or failed; empty where none were."""
        counts = (("PRUNED", "stopped early"), ("FAIL", "failed"))
        return ", ".join(f"{n} {word}" for state, word in counts if (n := self._states.get(state)))

    def score_in_words(self) -> str:
        """The best score alone; empty where there is none."""
        best = self.best()
        if best is None:
            return ""
        return f"{wording.metric(self._objective.metric)} {objective_text(self._config, best)}"

    def _strata(self) -> list[dict[str, Scalar]]:
        ladder = self._config.study.ladder
        if ladder is None:
            return list(self._config.strata())
        tried = (dict(lane.stratum) for lane in self._tried)
        return sorted(tried, key=lambda stratum: float(stratum[ladder.parameter]))

    def _cells(self, lane: Lane) -> list[str]:
        best = self._best.get(lane)
        done = f"{self._searched.get(lane, 0)}/{lane_budget(self._config, lane)}"
        return [done, "" if best is None else objective_text(self._config, best)]

    def _confirmed_of(self, lanes: Sequence[Lane]) -> str:
        done = sum(self._confirmed.get(lane, 0) for lane in lanes)
        if len(self._config.objective) > 1:  # as many as are on the front
            return str(done)
        expected = sum(lane_candidates(self._config, lane) for lane in lanes)
        return f"{done}/{expected * self._config.confirm.replicates}"

    def _score(self, record: TrialRecord) -> float:
        return complete_score(record, self._objective)


def objective_text(config: StudyConfig, record: TrialRecord) -> str:
    """The first objective of a complete trial, in percent where it is a fraction."""
    value = complete_value(record, config.objective[0])
    name = config.objective[0].metric.removeprefix("val_")
    metric = config.metric_table.get(name)
    return f"{value:.1%}" if metric is not None and metric.unit == "fraction" else f"{value:.4g}"


def _lane(arm: Arm, stratum: Mapping[str, Scalar]) -> Lane:
    seen = stratum.items()
    if arm == "baseline":
        return Lane(arm, tuple((n, value) for n, value in seen if applies_to_baseline(n)))
    return Lane(arm, tuple(seen))


def _named(stratum: Mapping[str, Scalar]) -> str:
    """A row's name: the value alone where the column's head is the parameter."""
    if len(stratum) == 1:
        return wording.scalar(next(iter(stratum.values())))
    return wording.stratum_label(stratum)
