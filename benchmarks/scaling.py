"""What the n-th trial costs the harness, n up to 5,000, and the report of so many.

Run:  .venv/bin/python -m benchmarks.scaling [--trials 10,100,1000,5000] [--json FILE]
Time: about 9 minutes on 2 cores.

One study with everything real: `run_study`, its SQLite storage and MLflow's own SQLite store. It
runs, is filled up with synthetic finished trials (the same ledger and sink, learning curves of 27
epochs), and runs again with a raised budget, which trains the next two generations of 16 in a
worker process. The coordinator's CPU time from the last trial of the first of them to the last of
the second, over 16, is what a trial costs at that n: asking, adding, reporting at rungs, telling,
the MLflow run (no model), the best so far. All trials are in one stratum, the worst case for a
sampler: it learns from its own stratum only.

Further columns at each n: a proposal of tpe and of random (loading the stratum's history is shared
by a generation of 16), adding and finishing a record, one MLflow run, opening the study again.
The report is of a second study: ten widths, two arms, 5 confirm runs each, no MLflow.
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.study_folder import Moment, Watch, study_folder
from benchmarks.synthetic import FillCost, confirm, fill
from kdsearch import load_results, run_study
from kdsearch.analysis import write_report
from kdsearch.cache import cache_folder
from kdsearch.config import StudyConfig
from kdsearch.data import load_dataset
from kdsearch.study.confirm import selected_trials
from kdsearch.study.mirror import summarize
from kdsearch.study.proposal.lane import Lane, lanes_of
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.storage.ledger import Ledger
from kdsearch.tracking.mlflow.sink import MlflowSink

GENERATION = 16
WIDTHS = (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
REPORT_BAR_SECONDS = 30
PROFILED = 12


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--trials", default="10,100,1000,5000", help="n, ascending")
    options.add_argument("--report", type=int, default=5000, help="trials of the report; 0: none")
    options.add_argument("--profile", action="store_true", help="also profile the last n")
    add_json_option(options)
    args = options.parse_args()
    counts = [int(count) for count in args.trials.split(",")]
    machine = this_machine()
    print(header(machine))
    results: dict[str, Any] = {}
    with study_folder():
        results["trials"] = costs_by_count(counts)
        if args.profile:
            profile(counts[-1])
    if args.report:
        with study_folder() as folder:
            results["report"] = report_cost(args.report, folder)
    write_json(args.json, machine, results)


def study(trials: int, sampler: str = "tpe", widths: tuple[int, ...] = ()) -> StudyConfig:
    """A study of mnist1d; of several strata and both arms if it has widths."""
    search: dict[str, Any] = {
        "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
        "ensemble_size": {"role": "nuisance", "values": [1, 2]},
    }
    if widths:
        search["width"] = {"role": "scientific", "values": list(widths)}
    tree = {
        "name": "scaling",
        "data": {"kind": "mnist1d", "val_fraction": 0.2, "train_samples": 1000},
        "teacher": {
            "model": {"kind": "mlp", "width": 32},
            "members": 2,
            "training": {"epochs": 2},
        },
        "student": {"kind": "mlp", "width": 8},
        "training": {"epochs": 27, "engine": "population"},
        "search": search,
        "sampler": {"kind": sampler},
        "pruner": {"kind": "halving", "min_epochs": 3},
        "budget": {"trials": trials, "generation": GENERATION},
        "confirm": {"replicates": 5 if widths else 0, "baseline": bool(widths)},
        "tracking": {"models": "none"},
    }
    return StudyConfig.model_validate(tree)


def costs_by_count(counts: list[int]) -> list[dict[str, float]]:
    """Fill, run and measure at each n, and print the table."""
    run_study(study(counts[0]), workers=1)
    found = []
    for count in counts:
        filled = fill_up(count)
        ask = {kind: ask_ms(kind) for kind in ("tpe", "random")}
        run = run_cost(count)
        found.append({"n": count, **run, **filled._asdict(), **ask})
        print(f"n = {count:,}: {run['trial_cpu_ms']:.0f} ms of CPU a trial", flush=True)
    columns: Mapping[str, Callable[[dict[str, float]], str]] = {
        "n": lambda row: f"{row['n']:,.0f}",
        "CPU a trial": lambda row: f"{row['trial_cpu_ms']:.0f} ms",
        "tpe asks": lambda row: f"{row['tpe']:.1f} ms",
        "random asks": lambda row: f"{row['random']:.1f} ms",
        "ledger add": lambda row: f"{row['add_ms']:.1f} ms",
        "ledger finish": lambda row: f"{row['finish_ms']:.1f} ms",
        "MLflow run": lambda row: f"{row['mlflow_ms']:.1f} ms",
        "open again": lambda row: f"{row['open_seconds']:.1f} s",
        "report": lambda row: f"{row['report_seconds']:.1f} s",
    }
    print_table([{name: tell(row) for name, tell in columns.items()} for row in found])
    first, last = found[0]["trial_cpu_ms"], found[-1]["trial_cpu_ms"]
    print(
        f"From {counts[0]:,} to {counts[-1]:,} trials the cost of one grows {last / first:.1f}x.\n"
    )
    return found


def fill_up(count: int) -> FillCost:
    """Synthetic trials until the study has `count`, with their MLflow runs."""
    config = study(count)
    ledger = Ledger.create(config, command="benchmark")
    sink = MlflowSink()
    dataset = load_dataset(config.data, cache=cache_folder())
    sink.open_study(
        config, study_id=ledger.study_id, command="benchmark", dataset=summarize(dataset)
    )
    before = len(ledger.records())
    costs = fill(config, ledger, lanes_of(config, config.strata()), until=count, sink=sink)
    sink.close_study(state="interrupted")
    if len(ledger.records()) == before:  # nothing was missing: measure on a few more
        return fill_up(count + GENERATION)
    return costs


def ask_ms(sampler: str) -> float:
    """CPU milliseconds of a proposal, the history's loading shared by a generation."""
    config = study(1, sampler)
    ledger = Ledger.create(study(1), command="benchmark")
    started = time.process_time()
    lane = LaneSampler(config, Lane("distilled", ()), ledger.trials("distilled"))
    number = ledger.next_number("search", "distilled")
    for index in range(GENERATION):
        lane.ask(number + index)
    return 1e3 * (time.process_time() - started) / GENERATION


def run_cost(count: int) -> dict[str, float]:
    """Run two generations more; what a trial of the second costs, and the rest of the run."""
    watch = Watch()
    begun = Moment.now()
    run_study(study(trials_now() + 2 * GENERATION), workers=1, listener=watch)
    ended = Moment.now()
    ends = [moment for _, moment in watch.trials]
    second = ends[-1].since(ends[-1 - GENERATION])
    return {
        "trials": float(trials_now()),
        "trial_cpu_ms": 1e3 * second.cpu / GENERATION,
        "open_seconds": watch.first("search").since(begun).wall,
        "report_seconds": ended.since(watch.first("report")).wall,
    }


def trials_now() -> int:
    """Trials of the study in this folder."""
    return len(load_results("scaling", derived=False).trials)


def profile(count: int) -> None:
    """Where the coordinator's time goes at the last n, cProfile's own cost included."""
    profiler = cProfile.Profile()
    config = study(trials_now() + GENERATION)
    profiler.runcall(run_study, config, workers=1)
    print(f"profile of opening, one generation of {GENERATION} and the report at n = {count:,}:")
    stats = pstats.Stats(profiler)
    stats.sort_stats("cumulative").print_stats("kdsearch", PROFILED * 4)
    stats.sort_stats("tottime").print_stats(PROFILED)


def report_cost(count: int, folder: Path) -> dict[str, float]:
    """Fill a study of ten widths and two arms, read its results, write its report."""
    config = study(count // (2 * len(WIDTHS)), widths=WIDTHS)
    ledger = Ledger.create(config, command="benchmark")
    fill(config, ledger, lanes_of(config, config.strata()), until=count)
    confirm(config, ledger, selected_trials(config, ledger.records()))
    started = time.perf_counter()
    load_results(config, derived=False)
    opened = time.perf_counter()
    results = load_results(config)
    loaded = time.perf_counter()
    write_report(results, folder / "report")
    written = time.perf_counter()
    seconds = {
        "students": float(len(results.trials)),
        "read_seconds": opened - started,
        "results_seconds": loaded - opened,
        "write_seconds": written - loaded,
        "report_seconds": written - opened,
    }
    print(f"Report of {len(results.trials):,} students: {seconds['report_seconds']:.1f} s")
    print(
        f"(results, with importance: {seconds['results_seconds']:.1f} s; page, figures, tables: "
        f"{seconds['write_seconds']:.1f} s; bar: {REPORT_BAR_SECONDS} s). "
        f"Reading the study without them: {seconds['read_seconds']:.1f} s."
    )
    return seconds


if __name__ == "__main__":
    main()
