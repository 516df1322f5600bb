"""What the harness costs: CPU a trial, CPU a logged model, and the share of a real study.

Run:  .venv/bin/python -m benchmarks.overhead [--trials 64] [--rounds 3] [--study FILE] ...
Time: about 2 minutes on 2 cores, and what the study takes (`--study ""` leaves it out).

Harness and training are told apart by process. Students train in a worker process; everything else
happens in the coordinator: Optuna's ask, report and tell, the records, MLflow runs and models,
decisions at rungs, messages. So the harness's cost is the coordinator's CPU time (all threads)
from the first generation's training to the end of the search, over all trials. Opening the
databases, teachers, the first generation's asks and the report are not in it; what a first trial
loads is. The second line is from the end of one generation to the end of the last: every ask,
and nothing that happens once.

The study is real: mnist1d, 40 epochs, tpe, an SQLite storage and MLflow's own SQLite store in a
fresh folder. A trial is measured with halving and `tracking.models: none`. A model is measured
without pruning, so that every trial has one: `tracking.models` is `none` and `all` in turns, and
the difference is divided by the models logged. Bars: 120 ms a trial, 0.2 s a model.

The share is of a whole study file's wall time, teachers (cached after the first run) and report
included: the coordinator's CPU seconds from the first ask to the report over all wall seconds, as
if nothing of it overlapped with training. Bar: 10 %.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.study_folder import Moment, Watch, children_cpu_seconds, study_folder
from kdsearch import load_study, run_study
from kdsearch.config import StudyConfig
from kdsearch.study.executors import available_cores

STUDIES = Path(__file__).parents[1] / "studies"
KINDS = {"a trial": ("halving", "none"), "whole": ("none", "none"), "logged": ("none", "all")}
"""The runs by what they are for: pruner and `tracking.models`."""


class Cost(NamedTuple):
    """Of one run's search."""

    trials: int
    models: int
    cpu_seconds: float
    """Of the coordinator."""
    wall_seconds: float
    later_cpu_ms: float
    """A trial, from the second generation on."""
    worker_cpu_seconds: float
    """Of the worker, its start included."""
    train_seconds: float
    """Wall seconds that students report as theirs."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=64)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--study", default=str(default_study()), help="whose share is measured")
    options.add_argument("--workers", type=int, default=available_cores(), help="of that study")
    add_json_option(options)
    args = options.parse_args()
    machine = this_machine()
    print(header(machine))
    costs: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    search_cost(study(8, args.epochs, "none", "all"))  # imports, and the teacher
    for _ in range(args.rounds):
        for kind, (pruner, models) in KINDS.items():
            costs[kind].append(search_cost(study(args.trials, args.epochs, pruner, models)))
    results: dict[str, Any] = {
        "search": report(costs),
        "runs": {kind: [cost._asdict() for cost in runs] for kind, runs in costs.items()},
    }
    if args.study:
        results["share"] = report_share(Path(args.study), args.workers)
    write_json(args.json, machine, results)


def default_study() -> Path:
    """The capacity study of mnist1d."""
    capacity = STUDIES / "capacity.yaml"
    return capacity if capacity.exists() else STUDIES / "temp_alpha.yaml"


def study(trials: int, epochs: int, pruner: str, models: str) -> StudyConfig:
    """A search of one stratum whose students train in a population."""
    tree = {
        "name": "overhead",
        "data": {"kind": "mnist1d", "val_fraction": 0.2},
        "teacher": {
            "model": {"kind": "mlp", "width": 64},
            "members": 2,
            "training": {"epochs": 5},
        },
        "student": {"kind": "mlp", "width": 32},
        "training": {"epochs": epochs, "engine": "population"},
        "search": {
            "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
            "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
            "ensemble_size": {"role": "nuisance", "values": [1, 2]},
        },
        "sampler": {"kind": "tpe"},
        "pruner": {"kind": pruner},
        "budget": {"trials": trials},
        "confirm": {"replicates": 0, "baseline": False},
        "tracking": {"models": models},
    }
    return StudyConfig.model_validate(tree)


def search_cost(config: StudyConfig) -> Cost:
    """Run a study's search in a fresh folder, with one worker."""
    watch, children = Watch(), children_cpu_seconds()
    with study_folder():
        run_study(config, workers=1, listener=watch)
    begun, ended = watch.first("search"), watch.first("report")
    cost = ended.since(begun)
    ends = [at for _, at in watch.trials]
    generation = min(config.budget.generation, len(ends) - 1)
    later = ends[-1].since(ends[generation - 1])
    records = [record for record, _ in watch.trials]
    logged = config.tracking.models == "all"
    return Cost(
        trials=len(records),
        models=sum(record.state == "COMPLETE" for record in records) if logged else 0,
        cpu_seconds=cost.cpu,
        wall_seconds=cost.wall,
        later_cpu_ms=1e3 * later.cpu / (len(ends) - generation),
        worker_cpu_seconds=children_cpu_seconds() - children,
        train_seconds=sum(record.train_seconds or 0.0 for record in records),
    )


def report(costs: dict[str, list[Cost]]) -> dict[str, float]:
    """Print what a trial and a model cost; medians over rounds."""
    pruned, whole, logged = costs.values()
    per_trial = statistics.median(1e3 * c.cpu_seconds / c.trials for c in pruned)
    later = statistics.median(c.later_cpu_ms for c in pruned)
    whole_trial = statistics.median(1e3 * c.cpu_seconds / c.trials for c in whole)
    per_model = statistics.median(
        (dear.cpu_seconds - cheap.cpu_seconds) / max(dear.models, 1)
        for cheap, dear in zip(whole, logged, strict=True)
    )
    worker = statistics.median(c.worker_cpu_seconds for c in pruned)
    training = statistics.median(c.train_seconds for c in pruned)
    print_table(
        [
            {"cost": "CPU a trial, no model", "measured": f"{per_trial:.0f} ms", "bar": "120 ms"},
            {"cost": "the same after 16 trials", "measured": f"{later:.0f} ms", "bar": ""},
            {"cost": "CPU a trial, no pruning", "measured": f"{whole_trial:.0f} ms", "bar": ""},
            {"cost": "CPU a logged model", "measured": f"{per_model:.3f} s", "bar": "0.2 s"},
        ]
    )
    print(
        f"{pruned[0].trials} trials; {logged[0].models} models where all are logged. With halving "
        f"the worker used {worker:.1f} s of CPU, its start included, for {training:.1f} s of "
        "training.\n"
    )
    return {
        "trial_cpu_ms": per_trial,
        "later_trial_cpu_ms": later,
        "whole_trial_cpu_ms": whole_trial,
        "model_cpu_s": per_model,
    }


def report_share(path: Path, workers: int) -> dict[str, float]:
    """Run a study file in a fresh folder and print what share of its time is the harness."""
    config = load_study(path.resolve())
    watch = Watch()
    with study_folder():
        result = run_study(config, workers=workers, listener=watch)
        whole = Moment.now().since(watch.begun)
    busy = watch.first("report").since(watch.first("search"))
    training = sum(record.train_seconds or 0.0 for record in result.results.trials)
    models = sum(record.state == "COMPLETE" for record in result.results.trials)
    share = busy.cpu / whole.wall
    print(
        f"{path.name}: {len(watch.trials)} students, {workers} workers, {whole.wall:.0f} s of wall"
    )
    print_table(
        [
            {"part": "coordinator's CPU", "seconds": f"{busy.cpu:.1f}", "of wall": f"{share:.1%}"},
            {
                "part": "wall of search and confirm",
                "seconds": f"{busy.wall:.1f}",
                "of wall": f"{busy.wall / whole.wall:.1%}",
            },
            {
                "part": "students' training, over the workers",
                "seconds": f"{training / workers:.1f}",
                "of wall": f"{training / workers / whole.wall:.1%}",
            },
        ]
    )
    print("The bar is 10 % for the first row, models included.")
    for note in watch.notes:
        print(f"note: {note}")
    return {
        "students": len(watch.trials),
        "complete": models,
        "wall_seconds": whole.wall,
        "search_and_confirm_wall_seconds": busy.wall,
        "coordinator_cpu_seconds": busy.cpu,
        "train_seconds": training,
        "share_of_wall": share,
    }


if __name__ == "__main__":
    main()
