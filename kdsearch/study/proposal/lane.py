"""A lane: one stratum of one arm, searched with its own budget and its own sampler state."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from kdsearch.config import (
    HARD_LABELS,
    Scalar,
    SearchParameter,
    StudyConfig,
    applies_to_baseline,
    baseline_strata,
)
from kdsearch.config.seed import derive_seed
from kdsearch.results import Arm, Stage, TrialRecord


@dataclass(frozen=True)
class Lane:
    """One stratum of one arm."""

    arm: Arm
    stratum: tuple[tuple[str, Scalar], ...]
    """The scientific settings, in the order of the file."""

    @property
    def key(self) -> str:
        """Names the lane in files, such as `distilled-width=8`."""
        return "-".join([self.arm, *(f"{name}={value}" for name, value in self.stratum)])

    def holds(self, record: TrialRecord) -> bool:
        """Whether a trial belongs to this lane."""
        return record.arm == self.arm and record.stratum == dict(self.stratum)

    def of(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The lane's records among `records`, in their order."""
        return [record for record in records if self.holds(record)]


def lanes_of(config: StudyConfig, strata: Sequence[Mapping[str, Scalar]]) -> tuple[Lane, ...]:
    """The lanes of some strata in the order they are asked: distilled first, then baseline."""
    distilled = [Lane("distilled", tuple(stratum.items())) for stratum in strata]
    if not (config.confirm.baseline and config.confirm.replicates):
        return tuple(distilled)
    baseline = [Lane("baseline", tuple(stratum.items())) for stratum in baseline_strata(strata)]
    return (*distilled, *baseline)


def nuisances(config: StudyConfig, arm: Arm) -> dict[str, SearchParameter]:
    """The parameters that an arm tunes."""
    parameters = config.parameters("nuisance")
    if arm == "distilled":
        return parameters
    return {name: p for name, p in parameters.items() if applies_to_baseline(name)}


def searched(config: StudyConfig, arm: Arm) -> dict[str, SearchParameter]:
    """The parameters that differ between an arm's trials: its scientific and tuned ones."""
    scientific = config.parameters("scientific")
    if arm == "baseline":
        scientific = {name: p for name, p in scientific.items() if applies_to_baseline(name)}
    return scientific | nuisances(config, arm)


def lane_epochs(config: StudyConfig, lane: Lane) -> int:
    """The fewest epochs that a trial of the lane can have, which its rungs must fit into."""
    tuned = nuisances(config, lane.arm).get("training.epochs")
    if tuned is not None:
        return min(int(value) for key, value in tuned.given() if key != "high")
    return config.trial_config(dict(lane.stratum)).training.epochs


def lane_budget(config: StudyConfig, lane: Lane) -> int:
    """Search trials of a lane: the study's budget, or as many as its arm has different points."""
    tuned = nuisances(config, lane.arm)
    if not tuned:
        return 1
    if config.sampler_kind != "grid":
        return config.budget.trials
    return min(config.budget.trials, math.prod(p.num_points() or 1 for p in tuned.values()))


def lane_candidates(config: StudyConfig, lane: Lane) -> int:
    """Settings of a lane that are confirmed; in a Pareto study at least one."""
    if len(config.objective) > 1:
        return 1
    return min(config.confirm.candidates, lane_budget(config, lane))


def fixed_settings(config: StudyConfig, arm: Arm) -> dict[str, Scalar]:
    """The fixed parameters that apply to an arm; the baseline's alpha is always 1, hard labels."""
    fixed = {n: p.value for n, p in config.parameters("fixed").items() if p.value is not None}
    if arm == "distilled":
        return fixed
    return {n: value for n, value in fixed.items() if applies_to_baseline(n)} | {
        "alpha": HARD_LABELS
    }


class Proposal(NamedTuple):
    """What a search trial is to try."""

    tuned: dict[str, Scalar]
    """Values of the tuned parameters."""
    remembered: Mapping[str, object] = MappingProxyType({})
    """What an Optuna sampler wants to know again later."""
    repeats: int | None = None
    """Number of the trial whose settings these are."""
    replicate: int = 0
    """The seed's number: 0 for settings that are new."""


def on_fresh_seed(proposal: Proposal, own: Sequence[TrialRecord]) -> Proposal:
    """A proposal; on another seed if its settings have been asked before.

    The same student on the same seed would only look as if scores had no noise.

    Args:
        proposal: Of settings.
        own: The lane's search trials so far, those that run included.
    """
    for record in own:
        if record.repeats is None and proposal.tuned.items() <= record.settings.items():
            seeds = sum(r.repeats == record.trial for r in own)
            return proposal._replace(repeats=record.trial, replicate=seeds + 1)
    return proposal


def new_record(config: StudyConfig, lane: Lane, proposal: Proposal, *, trial: int) -> TrialRecord:
    """The record of a search trial that is about to run."""
    tuned, replicate = proposal.tuned, proposal.replicate
    settings = fixed_settings(config, lane.arm) | dict(lane.stratum) | tuned
    what = config.trial_config(settings)
    is_taught = lane.arm == "distilled"
    return TrialRecord(
        study=config.name,
        stage="search",
        arm=lane.arm,
        trial=trial,
        replicate=replicate,
        repeats=proposal.repeats,
        state="RUNNING",
        settings=settings,
        stratum=dict(lane.stratum),
        temperature=what.distillation.number("temperature") if is_taught else None,
        alpha=what.distillation.number("alpha"),
        width=what.student.width,
        ensemble_size=what.distillation.ensemble_size if is_taught else None,
        learning_rate=what.training.learning_rate,
        seed=weights_seed(config, settings, stage="search", replicate=replicate),
    )


def weights_seed(
    config: StudyConfig, settings: dict[str, Scalar], *, stage: Stage, replicate: int
) -> int:
    """Seed of a student's initial weights.

    A function of the study, the architecture and the replicate, and of nothing that the student
    is taught: so both arms start from the same weights. Replicates of the search are other seeds
    than those of the confirm stage, which are fresh.
    """
    student = config.trial_config(settings).student
    architecture = student.model_dump_json(include={"kind", "width", "depth", "target"})
    return derive_seed("weights", config.seed, architecture, *_number(stage, replicate))


def order_seed(config: StudyConfig, *, stage: Stage, replicate: int) -> int:
    """Seed of the batches, the same for all students of a replicate: common random numbers."""
    return derive_seed("batches", config.seed, *_number(stage, replicate))


def _number(stage: Stage, replicate: int) -> tuple[int | str, ...]:
    return ("again", replicate) if stage == "search" and replicate else (replicate,)
