"""What a run would do, without doing it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kdsearch.config import StudyConfig, TeacherConfig, TrialConfig
from kdsearch.data import Dataset, cache_folder
from kdsearch.errors import UnknownStudyError
from kdsearch.execution.materials import open_bank
from kdsearch.models import count_model, describe_model
from kdsearch.results import TrialRecord
from kdsearch.study.database import connect_existing, without_password
from kdsearch.study.executors import available_cores
from kdsearch.study.lane import lane_budget, lanes_of
from kdsearch.study.ledger import Ledger
from kdsearch.study.pieces import check_pieces
from kdsearch.study.pruning import rung_epochs

STEP_SECONDS = 1.0e-3
"""Of an optimisation step, whatever its size: Python, autograd, optimizer (measured)."""
MACS_PER_SECOND = 8e9
"""What a core does of the arithmetic of small models in a plain loop (measured: 3..16e9)."""
BACKWARD_FACTOR = 3
"""A training step's arithmetic as a multiple of its forward pass."""


@dataclass(frozen=True)
class StudyPlan:
    """A plan in words, one line each."""

    name: str
    question: str
    data: str
    teachers: str
    num_strata: int
    search_trials: str
    confirm_runs: str
    method: str
    storage: str
    estimated_time: str


def plan_study(config: StudyConfig) -> StudyPlan:
    """What `run_study` would do now.

    Raises:
        UserInputError: The data or the models cannot work.
    """
    dataset = check_pieces(config)
    records = stored_records(config)
    lanes = lanes_of(config, config.strata())
    search_total = sum(lane_budget(config, lane) for lane in lanes)
    confirm_total = len(lanes) * config.confirm.replicates
    search_done = sum(r.stage == "search" and r.state != "RUNNING" for r in records)
    confirm_done = sum(r.stage == "confirm" and r.state != "RUNNING" for r in records)
    teachers = planned_teachers(config)
    members = len(teachers) * config.teacher.members
    missing = missing_members(config, teachers)
    seconds = estimate_seconds(
        config,
        dataset,
        missing=missing,
        search_share=max(1 - search_done / search_total, 0),
        confirm_share=max(1 - confirm_done / max(confirm_total, 1), 0),
    )
    arms = "distilled and baseline" if len({lane.arm for lane in lanes}) > 1 else "distilled"
    per_lane = f"{config.budget.trials} a stratum and arm ({arms})"
    return StudyPlan(
        name=config.name,
        question=config.question_text,
        data=f"{dataset.name}: {len(dataset.train)} train, {len(dataset.val)} validation, "
        f"{len(dataset.test)} test (sealed until confirm)",
        teachers=f"{members} x {' or '.join(describe_model(t.model) for t in teachers)}, "
        f"{members - missing} cached, {missing} to train",
        num_strata=len(config.strata()),
        search_trials=f"{search_total}: {per_lane}; {search_done} done",
        confirm_runs=f"{confirm_total}: {config.confirm.replicates} fresh seeds each; "
        f"{confirm_done} done",
        method=f"{config.sampler.kind}, {config.pruner.kind} "
        f"at epochs {list(rung_epochs(config.pruner, config.training.epochs))}",
        storage=without_password(config.storage),
        estimated_time=f"about {in_words(seconds)} on {available_cores()} cores (rough)",
    )


def stored_records(config: StudyConfig) -> tuple[TrialRecord, ...]:
    """Trials that the storage has of this study; none if there is no such study yet."""
    try:
        return Ledger(connect_existing(config.storage), config.name).records()
    except UnknownStudyError:
        return ()


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


def estimate_seconds(
    config: StudyConfig,
    dataset: Dataset,
    *,
    missing: int,
    search_share: float,
    confirm_share: float,
) -> float:
    """Wall time from step counts and multiply-accumulates; good to a factor of two or so."""
    pruned = search_cost(config)
    students = 0.0
    for lane in lanes_of(config, config.strata()):
        full = train_seconds(config.trial_config(dict(lane.stratum)), dataset)
        search = lane_budget(config, lane) * pruned * search_share
        students += full * (search + config.confirm.replicates * confirm_share)
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
    arithmetic = len(dataset.train) * macs * BACKWARD_FACTOR / MACS_PER_SECOND
    return training.epochs * (steps * STEP_SECONDS + arithmetic)


def search_cost(config: StudyConfig) -> float:
    """Epochs of a search trial as a share of the whole training, as the pruner leaves them."""
    rungs = [*rung_epochs(config.pruner, config.training.epochs), config.training.epochs]
    keep = 0.5 if config.pruner.kind == "median" else 1 / config.pruner.reduction_factor
    spent, share, before = 0.0, 1.0, 0
    for rung in rungs:
        spent += share * (rung - before)
        share, before = share * keep, rung
    return spent / config.training.epochs


def in_words(seconds: float) -> str:
    """A time for people."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
