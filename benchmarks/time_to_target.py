"""Seconds until a search has a student as good as a target: kdsearch against Optuna's searches.

Run:  .venv/bin/python -m benchmarks.time_to_target [--seeds 10] [--json FILE]
      .venv/bin/python -m benchmarks.time_to_target --prepare    (writes time_to_target.json anew)
Time: about 15 minutes on 2 cores, --prepare about 20; teachers are trained once, then cached.

Protocol (facts/speed.md, section 5). Fashion-MNIST (a share of the training set, 5,000 validation
samples), students 784-w-w-10, five teachers 784-1200-1200-10; temperature, alpha and learning rate
are searched. The targets were fixed beforehand: the best validation accuracy of a random search of
100 trials at full fidelity minus 0.1 points (hard), and its 90 % and 75 % quantiles. A
trial counts when it has ended at full fidelity. At least ten seeds an arm, medians and quartiles;
a run that does not get there counts as longer than all that do, and is not dropped.

kdsearch's arms run for real, each seed in a new process and an empty folder, on all cores, until
the hard target is reached: start of Python, databases, workers, proposals, MLflow and pruned
trials are on the clock; trained teachers are there for every arm. Logits are cached with the
teachers, so what making them takes is measured and charged to each run that uses them, as if it
were the first of its study. `halving` is the default; `1 epoch` has its first
rung after epoch 1; `no pruning` is the same engine without early stopping.

Optuna's arms (TPE by default, with MedianPruner, with HyperbandPruner; random search) propose one
trial after another. What their trials came to was prepared with real students; what the trials
cost is measured now: seconds a step and a validation of the guide's loop with five live teachers,
and of the plain loop with cached logits, times the steps of all their epochs. To their favour the
loops are charged as if both cores worked on one trial without loss (the better of two processes
and two threads), and nothing for proposals.
"""

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import target
from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.problem import BATCH, Spec, mlp, random_teachers
from benchmarks.study_folder import Watch, children_cpu_seconds, study_folder
from benchmarks.target import FILE, NUM_TEACHERS, Prepared, Size
from benchmarks.workers import Job, Workers
from kdsearch.models import predict_logits
from kdsearch.results import TrialRecord
from kdsearch.study.executors import available_cores
from kdsearch.training import TrainingData

ARMS: dict[str, dict[str, Any]] = {
    "kdsearch, halving": {"kind": "halving"},
    "kdsearch, 1 epoch": {"kind": "halving", "min_epochs": 1},
    "kdsearch, no pruning": {"kind": "none"},
}
LOOPS = {"guide": "guide's loop, 5 live teachers", "plain": "plain loop, cached logits"}
NEVER = math.inf
TIMED_BATCHES = 20
MAX_TRIALS = 64
ALL_SAMPLES = 60_000
"""Training and validation samples that kdsearch caches logits of."""


class Run(NamedTuple):
    """One seed of one arm."""

    seconds: dict[str, float]
    """Until each target; infinite if it was not reached."""
    trials: int
    epochs: int
    """Of all trials."""
    best: float
    wall_seconds: float
    cpu_seconds: float
    """Of all processes; 0 where time is charged."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--prepare", action="store_true", help="targets and rivals' trials anew")
    options.add_argument("--targets", type=Path, default=FILE, help="the file of --prepare")
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--workers", type=int, default=available_cores())
    options.add_argument("--trials", type=int, default=MAX_TRIALS, help="most of a kdsearch run")
    options.add_argument("--width", type=int, default=32, help="with --prepare")
    options.add_argument("--epochs", type=int, default=15, help="with --prepare")
    options.add_argument("--train-fraction", type=float, default=0.9, help="with --prepare")
    options.add_argument("--random-trials", type=int, default=100, help="with --prepare")
    options.add_argument("--rival-trials", type=int, default=40, help="with --prepare")
    options.add_argument("--one", nargs=2, metavar=("ARM", "SEED"), help=argparse.SUPPRESS)
    add_json_option(options)
    args = options.parse_args()
    if args.one:
        run_one(args)
        return
    machine = this_machine()
    print(header(machine))
    if args.prepare:
        size = Size(
            width=args.width,
            epochs=args.epochs,
            train_fraction=args.train_fraction,
            random_trials=args.random_trials,
            seeds=args.seeds,
            trials=args.rival_trials,
        )
        target.save(target.prepare(size, machine, cores=args.workers), args.targets)
        return
    if not args.targets.exists():
        options.error(f"there is no {args.targets}; make it with --prepare (20 minutes)")
    prepared = target.load(args.targets)
    print(target.summary(prepared))
    print(f"students: {prepared.size}\n")
    data = target.data_of(prepared.size, workers=args.workers)
    logits = logits_seconds(data, cores=args.workers)
    seconds = seconds_per_epoch(data, prepared.size, cores=args.workers)
    runs: dict[str, list[Run]] = {arm: [] for arm in ARMS}
    for seed in range(args.seeds):
        for arm in ARMS:  # in turns, so that a noisy hour hits all arms
            runs[arm].append(later(run_apart(arm, seed, args), logits["kdsearch"]))
    for loop, of_epoch in seconds.items():
        for rival, searches in prepared.searches.items():
            runs[f"{rival}, {LOOPS[loop]}"] = [
                later(charge(prepared, search, of_epoch), logits[loop]) for search in searches
            ]
    report(runs, prepared)
    write_json(
        args.json,
        machine,
        {
            "targets": prepared.targets,
            "size": prepared.size._asdict(),
            "seconds_per_epoch": seconds,
            "logits_seconds": logits,
            "runs": {arm: [run._asdict() for run in found] for arm, found in runs.items()},
        },
    )


def logits_seconds(data: TrainingData, *, cores: int) -> dict[str, float]:
    """Of caching teachers' logits: of all samples in kdsearch, of the students' elsewhere."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (teacher,) = random_teachers(1)
    started = time.perf_counter()
    predict_logits(teacher, data.train_x)
    of_sample = (time.perf_counter() - started) * NUM_TEACHERS / len(data.train_x) / cores
    torch.set_num_threads(threads)
    own = len(data.train_x) + len(data.val_x)
    found = {"kdsearch": of_sample * ALL_SAMPLES, "plain": of_sample * own, "guide": 0.0}
    print(f"caching logits, on {cores} cores: {found['kdsearch']:.1f} s (kdsearch), ", end="")
    print(f"{found['plain']:.1f} s (plain loop)")
    return found


def later(run: Run, seconds: float) -> Run:
    """The run, begun so many seconds later."""
    return run._replace(
        seconds={name: at + seconds for name, at in run.seconds.items()},
        wall_seconds=run.wall_seconds + seconds,
    )


def seconds_per_epoch(data: TrainingData, size: Size, *, cores: int) -> dict[str, float]:
    """What an epoch of a trial takes in each loop, validation included."""
    spec = Spec(mlp(size.width), seed=0, temperature=4.0, alpha=0.5, learning_rate=1e-3)
    steps = -(-len(data.train_y) // BATCH)
    batches = min(TIMED_BATCHES, steps)
    found = {}
    with Workers(cores, data) as workers:
        for loop in LOOPS:
            job = Job(loop, (spec,), NUM_TEACHERS, epochs=1, num_batches=batches)
            workers.run([job] * cores)  # warms up
            ways = {
                f"{cores} processes": [done.trained for done in workers.run([job] * cores)],
                f"{cores} threads": [
                    done.trained for done in workers.run([job._replace(threads=cores)])
                ],
            }
            taken = {
                way: max(t.train_seconds * steps / batches + t.val_seconds for t in trained)
                / len(trained)
                for way, trained in ways.items()
            }
            way = min(taken, key=lambda name: taken[name])
            found[loop] = taken[way]
            print(f"{LOOPS[loop]}: {taken[way]:.2f} s an epoch as {way} ({steps} steps)")
    print(flush=True)
    return found


def run_apart(arm: str, seed: int, args: argparse.Namespace) -> Run:
    """One run of kdsearch in a process of its own; the clock starts before it."""
    started = time.time()
    command = [
        sys.executable, "-m", "benchmarks.time_to_target",
        "--one", arm, str(seed),
        "--targets", str(args.targets.resolve()),
        "--workers", str(args.workers), "--trials", str(args.trials),
    ]  # fmt: skip
    environment = os.environ | {"KDSEARCH_BENCHMARK_STARTED": repr(started)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"{arm}, seed {seed}: {said.stderr}")
    told = json.loads(said.stdout.splitlines()[-1])
    run = Run(**told)
    reached = ", ".join(f"{name} {s:.1f} s" for name, s in run.seconds.items())
    print(f"{arm}, seed {seed}: {reached}; {run.trials} trials, best {run.best:.4f}", flush=True)
    return run


class UntilTarget(Watch):
    """Stops a study once it has a student that good."""

    def __init__(self, enough: float) -> None:
        super().__init__()
        self._enough: float | None = enough
        self.times: list[float] = []

    def trial(self, record: TrialRecord) -> None:
        """Keep the time of day, and ask the study to stop as Ctrl-C would."""
        super().trial(record)
        self.times.append(time.time())
        score = score_of(record)
        if score is not None and self._enough is not None and score >= self._enough:
            self._enough = None  # a second signal would end the process at once
            os.kill(os.getpid(), signal.SIGINT)


def score_of(record: TrialRecord) -> float | None:
    """Validation accuracy at full fidelity."""
    return record.val.accuracy if record.state == "COMPLETE" and record.val else None


def run_one(args: argparse.Namespace) -> None:
    """The process of `run_apart`: prints a `Run` as JSON."""
    from kdsearch import run_study
    from kdsearch.errors import InterruptedStudyError

    arm, seed = args.one[0], int(args.one[1])
    started = float(os.environ["KDSEARCH_BENCHMARK_STARTED"])
    prepared = target.load(args.targets)
    config = target.study(prepared.size, seed=seed, pruner=ARMS[arm], trials=args.trials)
    watch = UntilTarget(prepared.targets["hard"])
    with study_folder():
        with suppress(InterruptedStudyError):  # by the watch: the target is reached
            run_study(config, workers=args.workers, listener=watch)
        wall = time.time() - started
    records = [record for record, _ in watch.trials]
    ended = [(at - started, score_of(r)) for r, at in zip(records, watch.times, strict=True)]
    cpu = time.process_time() + children_cpu_seconds()
    run = Run(
        seconds={name: first_time(ended, accuracy) for name, accuracy in prepared.targets.items()},
        trials=len(records),
        epochs=sum(record.epochs for record in records),
        best=max((score for _, score in ended if score is not None), default=0.0),
        wall_seconds=wall,
        cpu_seconds=cpu,
    )
    print(json.dumps(run._asdict()))


def first_time(ended: Sequence[tuple[float, float | None]], accuracy: float) -> float:
    """When the first trial came that good."""
    times = [at for at, score in ended if score is not None and score >= accuracy]
    return min(times, default=NEVER)


def charge(prepared: Prepared, search: Sequence[target.Trial], of_epoch: float) -> Run:
    """What a prepared search takes at so many seconds an epoch."""
    clock, ended = 0.0, []
    for trial in search:
        clock += trial.epochs * of_epoch
        ended.append((clock, trial.accuracy))
    return Run(
        seconds={name: first_time(ended, accuracy) for name, accuracy in prepared.targets.items()},
        trials=len(search),
        epochs=sum(trial.epochs for trial in search),
        best=max((t.accuracy for t in search if t.accuracy is not None), default=0.0),
        wall_seconds=clock,
        cpu_seconds=0.0,
    )


def quantile(values: Sequence[float], share: float) -> float:
    """A quantile of values some of which may be infinite: the next higher one."""
    ordered = sorted(values)
    return ordered[min(math.ceil(share * len(ordered)) - 1, len(ordered) - 1)]


def report(runs: dict[str, list[Run]], prepared: Prepared) -> None:
    """A table for each target, and the two bars."""
    for name, accuracy in prepared.targets.items():
        base = quantile([run.seconds[name] for run in runs["kdsearch, halving"]], 0.5)
        print(f"{name} target, validation accuracy {accuracy:.4f}")
        print_table([row(arm, found, name, base) for arm, found in runs.items()])
    hard = {
        arm: quantile([run.seconds["hard"] for run in found], 0.5) for arm, found in runs.items()
    }
    ours = min(hard["kdsearch, halving"], hard["kdsearch, 1 epoch"])
    plain = hard["kdsearch, no pruning"] / hard["kdsearch, halving"]
    guide = hard[f"TPE, {LOOPS['guide']}"] / hard["kdsearch, halving"]
    print(f"Hard target, medians: halving is {plain:.1f}x as fast as no pruning (bar 3x) and")
    print(f"{guide:.0f}x as fast as the guide's loop under Optuna's defaults (bar 100x).")
    print(f"The better of halving and 1 epoch: {hard['kdsearch, no pruning'] / ours:.1f}x,")
    print(f"{hard[f'''TPE, {LOOPS['guide']}'''] / ours:.0f}x. An infinite ratio: not reached.")


def row(arm: str, runs: Sequence[Run], name: str, base: float) -> dict[str, str]:
    """One arm and one target."""
    seconds = [run.seconds[name] for run in runs]
    middle = quantile(seconds, 0.5)

    def told(value: float) -> str:
        return "not reached" if value == NEVER else f"{value:.1f}"

    return {
        "arm": arm,
        "median s": told(middle),
        "quartiles s": f"{told(quantile(seconds, 0.25))} to {told(quantile(seconds, 0.75))}",
        "not reached": f"{sum(s == NEVER for s in seconds)} of {len(seconds)}",
        "times halving": "" if NEVER in (middle, base) else f"{middle / base:.1f}x",
        "trials": f"{statistics.median(run.trials for run in runs):.0f}",
        "epochs": f"{statistics.median(run.epochs for run in runs):.0f}",
        "best": f"{statistics.median(run.best for run in runs):.4f}",
    }


if __name__ == "__main__":
    main()
