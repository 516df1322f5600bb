"""The search whose time to a target is measured: its study file, its targets, the rivals' trials.

What is prepared once (`python -m benchmarks.time_to_target --prepare`) and kept in
`time_to_target.json` does not depend on the machine's speed: the targets, from a random search at
full fidelity, and the trials of Optuna's searches: after how many epochs each ended, and with what
accuracy. Their students are real and trained by the population engine, all searches in step, so
that it takes minutes; what the same trials take in the guide's loop is measured at every run.
"""

import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution

from benchmarks.machine import Machine
from benchmarks.problem import Spec, mlp
from benchmarks.study_folder import study_folder
from benchmarks.workers import Job, Workers
from kdsearch import run_study
from kdsearch.cache import cache_folder
from kdsearch.config import StudyConfig
from kdsearch.execution.materials import taught_data
from kdsearch.training import TrainingData

FILE = Path(__file__).with_name("time_to_target.json")
NUM_TEACHERS = 5
SPACE: dict[str, BaseDistribution] = {
    "temperature": FloatDistribution(1.0, 20.0, log=True),
    "alpha": FloatDistribution(0.0, 1.0),
    "learning_rate": FloatDistribution(3e-4, 3e-2, log=True),
}
QUANTILES = {"easy": 0.75, "median": 0.9}
"""Of the random search's accuracies; the hard target is its best minus 0.1 points.

The protocol's other choice, one standard error, is half a point on 5,000 samples, which one trial
in five reaches.
"""


HARD_MARGIN = 0.001


class Size(NamedTuple):
    """How large the search's work is."""

    width: int
    epochs: int
    train_fraction: float
    """Of the 55,000 samples that the teachers see."""
    random_trials: int
    seeds: int
    trials: int
    """Most trials of a search."""


class Trial(NamedTuple):
    """What one trial of a search came to."""

    epochs: int
    accuracy: float | None
    """Best validation accuracy over the epochs at full fidelity; None if it was pruned."""


class Prepared(NamedTuple):
    """What `time_to_target.json` holds."""

    size: Size
    targets: dict[str, float]
    random_accuracies: list[float]
    searches: dict[str, list[list[Trial]]]
    """Of each rival, the trials of each seed up to the one that reaches the hard target."""
    machine: dict[str, Any]


Rival = Callable[[int], optuna.Study]


def rivals(size: Size) -> dict[str, Rival]:
    """Optuna's searches as its users set them up; each is made for a seed."""

    def make(pruner: optuna.pruners.BasePruner | None) -> Rival:
        return lambda seed: optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=pruner or optuna.pruners.NopPruner(),
        )

    hyperband = optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=size.epochs, reduction_factor=3
    )
    return {
        "TPE": make(None),
        "TPE + MedianPruner": make(optuna.pruners.MedianPruner()),
        "TPE + HyperbandPruner": make(hyperband),
        "random search": lambda seed: optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed)
        ),
    }


def study(size: Size, *, seed: int, pruner: dict[str, Any], trials: int) -> StudyConfig:
    """The same search as a study file."""
    ranges = {
        name: {"role": "nuisance", "low": d.low, "high": d.high, "log": d.log}
        for name, d in SPACE.items()
        if isinstance(d, FloatDistribution)
    }
    tree = {
        "name": "time-to-target",
        "seed": seed,
        "data": {
            "kind": "fashion_mnist",
            "val_fraction": 1 / 12,
            "train_fraction": size.train_fraction,
        },
        "teacher": {
            "model": {"kind": "mlp", "width": 1200},
            "members": NUM_TEACHERS,
            "training": {"epochs": 3},
        },
        "student": {"kind": "mlp", "width": size.width},
        "training": {"epochs": size.epochs, "schedule": "constant"},
        "search": ranges,
        "sampler": {"kind": "tpe"},
        "pruner": pruner,
        "budget": {"trials": trials},
        "confirm": {"replicates": 0, "baseline": False},
        "tracking": {"models": "confirmed"},
    }
    return StudyConfig.model_validate(tree)


def data_of(size: Size, *, workers: int) -> TrainingData:
    """The students' data with the logits of trained teachers, which are trained if none are."""
    tiny = study(size._replace(epochs=1), seed=0, pruner={"kind": "none"}, trials=1)
    with study_folder():
        run_study(tiny, workers=workers)
    trial = tiny.trial_config(dict.fromkeys(SPACE, 1.0))
    return taught_data(trial.data, trial.teacher, tiny.data, cache_folder())


def prepare(size: Size, machine: Machine, *, cores: int) -> Prepared:
    """Random search, targets, and the rivals' searches; minutes to an hour."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data = data_of(size, workers=cores)
    with Workers(cores, data) as workers:
        drawn = [spec_of(size, random_settings(i), seed=i) for i in range(size.random_trials)]
        curves = train(workers, cores, drawn, size)
        accuracies = [max(curve) for curve in curves]
        targets = targets_of(accuracies)
        print(f"targets: {targets}", flush=True)
        searches = run_rivals(workers, cores, size, targets["hard"])
    return Prepared(size, targets, accuracies, searches, machine._asdict())


def targets_of(accuracies: Sequence[float]) -> dict[str, float]:
    """Easy, median and hard, from a random search's accuracies."""
    best = max(accuracies)
    ordered = sorted(accuracies)
    targets = {
        name: ordered[math.floor(quantile * (len(ordered) - 1))]
        for name, quantile in QUANTILES.items()
    }
    return targets | {"hard": best - HARD_MARGIN}


def run_rivals(
    workers: Workers, cores: int, size: Size, hard: float
) -> dict[str, list[list[Trial]]]:
    """All rivals with all seeds, one trial of each at a time, until each has the hard target."""
    studies = {
        (name, seed): make(seed)
        for name, make in rivals(size).items()
        for seed in range(size.seeds)
    }
    trials: dict[tuple[str, int], list[Trial]] = {key: [] for key in studies}
    for step in range(size.trials):
        open_keys = [key for key, done in trials.items() if not is_there(done, hard)]
        if not open_keys:
            break
        asked = {key: studies[key].ask(SPACE) for key in open_keys}
        specs = [
            spec_of(size, trial.params, seed=1000 * (1 + key[1]) + step)
            for key, trial in asked.items()
        ]
        for key, curve in zip(open_keys, train(workers, cores, specs, size), strict=True):
            trials[key].append(tell(studies[key], asked[key], curve))
        print(f"trial {step + 1}: {len(open_keys)} searches were open", flush=True)
    return {name: [trials[name, seed] for seed in range(size.seeds)] for name in rivals(size)}


def tell(study: optuna.Study, trial: optuna.Trial, curve: Sequence[float]) -> Trial:
    """Report a learning curve as an objective would; the pruner may end it early."""
    for epoch, accuracy in enumerate(curve, start=1):
        trial.report(accuracy, epoch)
        if epoch < len(curve) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return Trial(epoch, None)
    study.tell(trial, max(curve))
    return Trial(len(curve), max(curve))


def is_there(trials: Sequence[Trial], target: float) -> bool:
    """Whether a search has reached a target."""
    return any(t.accuracy is not None and t.accuracy >= target for t in trials)


def random_settings(index: int) -> dict[str, float]:
    """Settings of the random search that sets the targets; no arm's own."""
    draw = optuna.samplers.RandomSampler(seed=10_000 + index)
    trial = optuna.create_study(sampler=draw).ask(SPACE)
    return trial.params


def spec_of(size: Size, settings: dict[str, float], *, seed: int) -> Spec:
    """A student of the search."""
    return Spec(mlp(size.width), seed=seed, order_seed=seed // 1000, **settings)


def train(workers: Workers, cores: int, specs: Sequence[Spec], size: Size) -> list[list[float]]:
    """Learning curves of validation accuracy, in the order of `specs`."""
    # Students of one order of batches are neighbours, which a population is faster with.
    order = sorted(range(len(specs)), key=lambda index: specs[index].order_seed)
    length = -(-len(specs) // cores)
    shares = [order[start : start + length] for start in range(0, len(order), length)]
    jobs = [
        Job("population", tuple(specs[i] for i in share), NUM_TEACHERS, size.epochs)
        for share in shares
    ]
    found: list[list[float]] = [[] for _ in specs]
    for share, done in zip(shares, workers.run(jobs), strict=True):
        for index, curve in zip(share, done.trained.accuracies, strict=True):
            found[index] = curve
    return found


def save(prepared: Prepared, path: Path) -> None:
    """Write the file."""
    document = prepared._asdict() | {"size": prepared.size._asdict()}
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def load(path: Path) -> Prepared:
    """Read the file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    searches = {
        name: [[Trial(*trial) for trial in seed] for seed in seeds]
        for name, seeds in document["searches"].items()
    }
    return Prepared(
        size=Size(**document["size"]),
        targets=document["targets"],
        random_accuracies=document["random_accuracies"],
        searches=searches,
        machine=document["machine"],
    )


def summary(prepared: Prepared) -> str:
    """The targets in words."""
    accuracies = prepared.random_accuracies
    return (
        f"targets {', '.join(f'{n} {v:.4f}' for n, v in prepared.targets.items())}: of a random "
        f"search of {len(accuracies)} trials (median {statistics.median(accuracies):.4f}, best "
        f"{max(accuracies):.4f}), prepared {prepared.machine['date']}"
    )
