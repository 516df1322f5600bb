"""What a run would do, without doing it."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdsearch.analysis import wording
from kdsearch.cache import cache_folder
from kdsearch.config import DataConfig, PrunerConfig, StudyConfig, TeacherConfig
from kdsearch.config.saturation import FIRST_SIZES
from kdsearch.data import Dataset
from kdsearch.errors import UnknownStudyError
from kdsearch.execution.materials import open_bank
from kdsearch.models import describe_model
from kdsearch.results import TrialRecord, sizes_tried
from kdsearch.results.tolerance import with_absolute_tolerance
from kdsearch.study.executors import available_cores
from kdsearch.study.ladder import FINER_SIZES, strata_ahead
from kdsearch.study.planning.cost import HARNESS_SECONDS, LaneCost, train_seconds
from kdsearch.study.planning.duration import in_words
from kdsearch.study.planning.pieces import check_pieces
from kdsearch.study.planning.resolution import resolution
from kdsearch.study.proposal.lane import Lane, lane_budget, lane_candidates, lanes_of
from kdsearch.study.proposal.pruning import rung_epochs
from kdsearch.study.storage.change import as_begun
from kdsearch.study.storage.database import connect_existing, without_password
from kdsearch.study.storage.ledger import Ledger


@dataclass(frozen=True)
class StudyPlan:
    """A plan in words, one line each."""

    name: str
    question: str
    data: str
    teachers: str
    axis: str
    """What `strata` are: widths, ensemble sizes, arms."""
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
    strata = strata_ahead(config, records)
    lanes = lanes_of(config, strata)
    search_total = sum(lane_budget(config, lane) for lane in lanes)
    confirm_total = sum(lane_candidates(config, lane) for lane in lanes)
    confirm_total *= config.confirm.replicates
    search_done = sum(r.stage == "search" and r.state != "RUNNING" for r in records)
    confirm_done = sum(r.stage == "confirm" and r.state != "RUNNING" for r in records)
    teachers = planned_teachers(config)
    members = len(teachers) * config.teacher.members
    missing = missing_members(teachers, config.data)
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
        axis=axis_of(config).many,
        strata=planned_strata(config, records),
        search_trials=f"{most}{search_total}: {per_lane}; {search_done} done",
        confirm_runs=f"{most}{confirm_total}: {candidates_in_words(config)}"
        f"{config.confirm.replicates} fresh seeds each; "
        f"{confirm_done} done",
        method=f"{config.sampler_kind}, {pruning_in_words(config.pruner, config.training.epochs)}",
        resolution=told.in_words if told else "nothing is tuned by accuracy",
        storage=without_password(config.storage),
        estimated_time=f"about {in_words(seconds)} on {available_cores()} cores (rough)",
    )


def planned_strata(config: StudyConfig, records: Sequence[TrialRecord]) -> str:
    """How many strata there are, or which sizes a ladder may climb to."""
    ladder = config.study.ladder
    if not config.parameters("scientific"):
        return str(len(lanes_of(config, config.strata())))
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
    point = f" a {axis_of(config).one}" if config.parameters("scientific") else ""
    if len(budgets) == 1:
        each = f"{point} and arm" if point else " an arm"
        return f"{budgets.pop()}{each} ({' and '.join(arms)})"
    each = " and ".join(f"{budget} {arm}" for arm, budget in arms.items())
    return f"{each}{point}; the baseline has no more different settings to try"


def axis_of(config: StudyConfig) -> wording.Noun:
    """What the study's strata are to a reader."""
    return wording.axis_noun(tuple(config.parameters("scientific")), is_front=False)


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


def missing_members(teachers: Sequence[TeacherConfig], data: DataConfig) -> int:
    """Teachers that are not cached."""
    banks = [open_bank(teacher, data, cache_folder()) for teacher in teachers]
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
    students = 0.0
    for lane in lanes:
        cost = LaneCost.of(config, lane, dataset)
        search = lane_budget(config, lane) * search_share
        runs = lane_candidates(config, lane) * config.confirm.replicates
        confirm = runs * confirm_share
        students += cost.search * search + cost.confirm * confirm
        students += HARNESS_SECONDS * (search + confirm)
    base = config.trial_config({})
    teacher = base.model_copy(
        update={"student": config.teacher.model, "training": config.teacher.training}
    )
    return (students + missing * train_seconds(teacher, dataset)) / available_cores()


def pruning_in_words(pruner: PrunerConfig, epochs: int) -> str:
    """The pruner and its rungs."""
    rungs = rung_epochs(pruner, epochs)
    if not rungs:
        return "no pruning"
    return f"{pruner.kind} at {'epoch' if len(rungs) == 1 else 'epochs'} " + ", ".join(
        map(str, rungs)
    )
