"""What a run would do, without doing it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kdsearch.config import MlpModel, ModelConfig, Scalar, StudyConfig, TeacherConfig, TrialConfig
from kdsearch.config.saturation import FIRST_SIZES
from kdsearch.data import Dataset, cache_folder
from kdsearch.errors import UnknownStudyError
from kdsearch.execution.materials import open_bank
from kdsearch.models import count_model, describe_model
from kdsearch.results import TrialRecord, sizes_tried
from kdsearch.results.tolerance import with_absolute_tolerance
from kdsearch.study.change import as_begun
from kdsearch.study.database import connect_existing, without_password
from kdsearch.study.executors import available_cores
from kdsearch.study.ladder import FINER_SIZES, climb, sizes_around
from kdsearch.study.lane import Lane, lane_budget, lane_candidates, lanes_of
from kdsearch.study.ledger import Ledger
from kdsearch.study.pieces import check_pieces
from kdsearch.study.pruning import rung_epochs
from kdsearch.study.resolution import resolution


class Pace(NamedTuple):
    """What one core does of a training (measured on small models)."""

    step_seconds: float
    """Of an optimisation step, whatever its size."""
    macs_per_second: float


LOOP, POPULATION = Pace(1e-3, 15e9), Pace(5e-5, 50e9)
HARNESS_SECONDS = 0.15
"""Of a student, whatever it is: Optuna, MLflow and its model."""
BACKWARD_FACTOR = 3
"""A training step's arithmetic as a multiple of its forward pass."""


@dataclass(frozen=True)
class StudyPlan:
    """A plan in words, one line each."""

    name: str
    question: str
    data: str
    teachers: str
    strata: str
    search_trials: str
    confirm_runs: str
    method: str
    resolution: str
    storage: str
    estimated_time: str


def plan_study(config: StudyConfig) -> StudyPlan:
    """What `run_study` would do now.

    Raises:
        UserInputError: The data or the models cannot work.
    """
    dataset = check_pieces(config)
    config, records = stored_study(config)
    strata = strata_to_plan(config, records)
    lanes = lanes_of(config, strata)
    search_total = sum(lane_budget(config, lane) for lane in lanes)
    confirm_total = sum(lane_candidates(config, lane) for lane in lanes)
    confirm_total *= config.confirm.replicates
    search_done = sum(r.stage == "search" and r.state != "RUNNING" for r in records)
    confirm_done = sum(r.stage == "confirm" and r.state != "RUNNING" for r in records)
    teachers = planned_teachers(config)
    members = len(teachers) * config.teacher.members
    missing = missing_members(config, teachers)
    seconds = estimate_seconds(
        config,
        dataset,
        lanes,
        missing=missing,
        search_share=max(1 - search_done / search_total, 0),
        confirm_share=max(1 - confirm_done / max(confirm_total, 1), 0),
    )
    per_lane = budget_in_words(config, lanes)
    told = resolution(config, lanes, len(dataset.val))
    most = "at most " if config.study.ladder is not None else ""
    return StudyPlan(
        name=config.name,
        question=config.question_text,
        data=f"{dataset.name}: {len(dataset.train)} train, {len(dataset.val)} validation, "
        f"{len(dataset.test)} test (sealed until confirm)",
        teachers=f"{members} x {' or '.join(describe_model(t.model) for t in teachers)}, "
        f"{members - missing} cached, {missing} to train",
        strata=planned_strata(config, records),
        search_trials=f"{most}{search_total}: {per_lane}; {search_done} done",
        confirm_runs=f"{most}{confirm_total}: {candidates_in_words(config)}"
        f"{config.confirm.replicates} fresh seeds each; "
        f"{confirm_done} done",
        method=f"{config.sampler_kind}, {pruning_in_words(config)}",
        resolution=told.in_words if told else "nothing is tuned by accuracy",
        storage=without_password(config.storage),
        estimated_time=f"about {in_words(seconds)} on {available_cores()} cores (rough)",
    )


def strata_to_plan(
    config: StudyConfig, records: Sequence[TrialRecord]
) -> tuple[dict[str, Scalar], ...]:
    """Every stratum that may come; with a ladder, those tried and all that climbing can reach.

    Where the ladder will look closer is not known; the dearest case, just below its end, is
    taken.
    """
    ladder = config.study.ladder
    if ladder is None:
        return config.strata()
    so_far = climb(config, ladder, records)
    sizes = {*so_far.sizes, *sizes_tried(config, records)}
    if so_far.state == "climbing":
        sizes |= {*ladder.sizes(), *sizes_around(ladder.sizes(), ladder.max)}
    return tuple({ladder.parameter: size} for size in sorted(sizes))


def planned_strata(config: StudyConfig, records: Sequence[TrialRecord]) -> str:
    """How many strata there are, or which sizes a ladder may climb to."""
    ladder = config.study.ladder
    if ladder is None:
        return str(len(config.strata()))
    steps = ", ".join(map(str, ladder.sizes()))
    return (
        f"a ladder of {ladder.parameter} {steps}, the first {FIRST_SIZES} together; where "
        f"accuracy saturates it tries {FINER_SIZES} sizes more around that, and stops; "
        f"{len(sizes_tried(config, records))} tried"
    )


def budget_in_words(config: StudyConfig, lanes: Sequence[Lane]) -> str:
    """Trials of a lane: one number for all, or one for each arm and why they differ."""
    arms = {lane.arm: lane_budget(config, lane) for lane in lanes}
    budgets = set(arms.values())
    if len(budgets) == 1:
        return f"{budgets.pop()} a stratum and arm ({' and '.join(arms)})"
    each = " and ".join(f"{budget} {arm}" for arm, budget in arms.items())
    return f"{each} a stratum; the baseline has no more different settings to try"


def stored_study(config: StudyConfig) -> tuple[StudyConfig, tuple[TrialRecord, ...]]:
    """The study as it goes on, and its trials; `config` and none if there is no such study yet."""
    try:
        ledger = Ledger(connect_existing(config.storage), config.name)
    except UnknownStudyError:
        return with_absolute_tolerance(config, (), "val"), ()
    config = as_begun(ledger.config, config)
    return with_absolute_tolerance(config, ledger.banks(), "val"), ledger.records()


def planned_teachers(config: StudyConfig) -> list[TeacherConfig]:
    """The teacher sections that the strata use; tuned teacher fields count as they are written."""
    teachers: list[TeacherConfig] = []
    for stratum in config.strata():
        teacher = config.trial_config(stratum).teacher
        if teacher not in teachers:
            teachers.append(teacher)
    return teachers


def missing_members(config: StudyConfig, teachers: Sequence[TeacherConfig]) -> int:
    """Teachers that are not cached."""
    banks = [open_bank(teacher, config.data, cache_folder()) for teacher in teachers]
    return sum(not bank.is_cached(member) for bank in banks for member in bank.members)


def candidates_in_words(config: StudyConfig) -> str:
    """How many settings of a stratum and arm are confirmed, if it is more than one."""
    several = config.confirm.candidates > 1 and len(config.objective) == 1
    return f"the {config.confirm.candidates} best settings on " if several else ""


def estimate_seconds(
    config: StudyConfig,
    dataset: Dataset,
    lanes: Sequence[Lane],
    *,
    missing: int,
    search_share: float,
    confirm_share: float,
) -> float:
    """Wall time from step counts and multiply-accumulates; good to a factor of two or so."""
    pruned = search_cost(config)
    students = 0.0
    for lane in lanes:
        full = train_seconds(config.trial_config(dict(lane.stratum)), dataset)
        search = lane_budget(config, lane) * search_share
        runs = lane_candidates(config, lane) * config.confirm.replicates
        confirm = runs * confirm_share * (2 if config.confirm.refit else 1)
        students += full * (search * pruned + confirm) + HARNESS_SECONDS * (search + confirm)
    base = config.trial_config({})
    teacher = base.model_copy(
        update={"student": config.teacher.model, "training": config.teacher.training}
    )
    return (students + missing * train_seconds(teacher, dataset)) / available_cores()


def train_seconds(trial: TrialConfig, dataset: Dataset) -> float:
    """One training to the last epoch on one core."""
    shape = {"input_shape": dataset.input_shape, "num_classes": dataset.num_classes}
    macs = count_model(trial.student, **shape).macs
    training = trial.training
    steps = math.ceil(len(dataset.train) / training.batch_size)
    is_stacked = _is_plain_mlp(trial.student) and training.engine != "reference"
    pace = POPULATION if is_stacked else LOOP
    arithmetic = len(dataset.train) * macs * BACKWARD_FACTOR / pace.macs_per_second
    return training.epochs * (steps * pace.step_seconds + arithmetic)


def _is_plain_mlp(model: ModelConfig) -> bool:
    return isinstance(model, MlpModel) and not model.is_regularized


def search_cost(config: StudyConfig) -> float:
    """Epochs of a search trial as a share of the whole training, as the pruner leaves them."""
    rungs = [*rung_epochs(config.pruner, config.training.epochs), config.training.epochs]
    keep = 0.5 if config.pruner.kind == "median" else 1 / config.pruner.reduction_factor
    spent, share, before = 0.0, 1.0, 0
    for rung in rungs:
        spent += share * (rung - before)
        share, before = share * keep, rung
    exempt = config.pruner.exempt
    return exempt + (1 - exempt) * spent / config.training.epochs


def pruning_in_words(config: StudyConfig) -> str:
    """The pruner and its rungs."""
    rungs = rung_epochs(config.pruner, config.training.epochs)
    if not rungs:
        return "no pruning"
    return f"{config.pruner.kind} at {'epoch' if len(rungs) == 1 else 'epochs'} " + ", ".join(
        map(str, rungs)
    )


def in_words(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
