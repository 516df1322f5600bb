"""The same search under Ray Tune and under kdsearch: wall time and best accuracy, side by side.

Run:  .venv/bin/python -m benchmarks.ray_tune [--trials 32] [--rounds 2] [--json FILE]
Time: about 8 minutes on 2 cores; the first run also installs Ray and trains the teachers.

Ray gets an environment of its own in the cache folder, beside the packages of this one (torch is
not installed again). The search is that of `target.py`: Fashion-MNIST, students 784-w-w-10, five
teachers; temperature, alpha and learning rate drawn at random by both, so many trials, one core
each for Ray. Each side runs in a new process, its start included; both find teachers and their
logits cached.

- no early stopping: the same number of trials and epochs on both sides, the ratio of throughput.
- ASHA against kdsearch's halving, same rungs: each stops whom it stops; epochs are told.

Ray's trainable is the plain loop with cached logits; with live teachers, as tutorials have it, a
trial's epochs are timed on a few trials, and the rest of the wall time is taken to be the same.
Ray draws other settings than kdsearch (its own generator), so best accuracies differ by chance.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import target
from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.problem import save_data
from benchmarks.study_folder import Watch, study_folder
from benchmarks.target import NUM_TEACHERS, Size
from kdsearch.cache import cache_folder
from kdsearch.config import StudyConfig
from kdsearch.study.executors import available_cores

RAY = "2.60.0"
MIN_EPOCHS = 3
SCHEDULERS = {"fifo": {"kind": "none"}, "asha": {"kind": "halving", "min_epochs": MIN_EPOCHS}}
NAMES = {"fifo": "no early stopping", "asha": "ASHA / halving"}
ROOT = Path(__file__).parents[1]


class Run(NamedTuple):
    """One search."""

    wall_seconds: float
    trials: int
    complete: int
    epochs: int
    """Of all trials."""
    best: float
    """Validation accuracy at full fidelity."""
    epoch_seconds: float
    """Mean of a trial's epoch in Ray; 0 for kdsearch."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--trials", type=int, default=32)
    options.add_argument("--epochs", type=int, default=27)
    options.add_argument("--width", type=int, default=64)
    options.add_argument("--train-fraction", type=float, default=0.22)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--cores", type=int, default=available_cores())
    options.add_argument("--ours", nargs=2, metavar=("KIND", "SEED"), help=argparse.SUPPRESS)
    add_json_option(options)
    args = options.parse_args()
    if args.ours:
        run_ours(args)
        return
    machine = this_machine()
    print(header(machine))
    python = ray_environment()
    size = size_of(args)
    data = target.data_of(size, workers=args.cores)
    print(f"{args.trials} trials of {args.epochs} epochs, {len(data.train_y)} samples, {size}\n")
    with tempfile.TemporaryDirectory(prefix="kdsearch-ray-") as name:
        folder = Path(name)
        save_data(data, folder / "data.pt")
        runs: dict[str, dict[str, list[Run]]] = {kind: {"ray": [], "ours": []} for kind in NAMES}
        for seed in range(args.rounds):
            for kind in NAMES:
                runs[kind]["ray"].append(run_ray(python, folder, kind, seed, args))
                runs[kind]["ours"].append(run_apart(kind, seed, args))
        live = run_ray(python, folder, "fifo", 0, args, live=True)
    for kind in NAMES:
        report(kind, runs[kind], live, args.cores)
    write_json(
        args.json,
        machine,
        {
            "ray": RAY,
            "size": size._asdict(),
            "live": live._asdict(),
            "runs": {
                kind: {side: [run._asdict() for run in found] for side, found in sides.items()}
                for kind, sides in runs.items()
            },
        },
    )


def size_of(args: argparse.Namespace) -> Size:
    """The search's size."""
    return Size(
        width=args.width,
        epochs=args.epochs,
        train_fraction=args.train_fraction,
        random_trials=0,
        seeds=args.rounds,
        trials=args.trials,
    )


def ray_environment() -> Path:
    """The Python of an environment with Ray, made if there is none."""
    folder = cache_folder() / f"benchmark-ray-{RAY}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists():
        return python
    print(f"installing Ray {RAY} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=True)
    ours = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    beside = Path(said.stdout.strip()) / "kdsearch_environment.pth"
    beside.write_text(ours.stdout, encoding="utf-8")
    install = [str(python), "-m", "pip", "install", "--quiet", f"ray[tune]=={RAY}"]
    subprocess.run(install, check=True)
    ready.touch()
    return python


def run_ray(
    python: Path,
    folder: Path,
    kind: str,
    seed: int,
    args: argparse.Namespace,
    *,
    live: bool = False,
) -> Run:
    """The search under Ray; with live teachers one trial a core and one epoch."""
    options = {
        "data": folder / "data.pt",
        "storage": folder / f"{kind}-{seed}-{live}",
        "scheduler": kind,
        "width": args.width,
        "epochs": 1 if live else args.epochs,
        "trials": args.cores if live else args.trials,
        "min-epochs": MIN_EPOCHS,
        "cores": args.cores,
        "seed": seed,
        "live-teachers": NUM_TEACHERS if live else 0,
        "started": time.time(),
    }
    command = [str(python), "-m", "benchmarks.ray_rival"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    told = answer(command)
    if told.pop("errors"):
        raise RuntimeError("trials failed under Ray")
    run = Run(**told)
    what = "live teachers" if live else NAMES[kind]
    print(f"Ray, {what}, seed {seed}: {run.wall_seconds:.1f} s, best {run.best:.4f}", flush=True)
    return run


def run_apart(kind: str, seed: int, args: argparse.Namespace) -> Run:
    """The search under kdsearch, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ray_tune", "--ours", kind, str(seed)]
    for name in ("trials", "epochs", "width", "train_fraction", "cores"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    started = time.time()
    told = answer(command)
    run = Run(**told | {"wall_seconds": told["wall_seconds"] - started})
    print(
        f"kdsearch, {NAMES[kind]}, seed {seed}: {run.wall_seconds:.1f} s, best {run.best:.4f}",
        flush=True,
    )
    return run


def answer(command: list[str]) -> dict[str, Any]:
    """Run a side; the last line that it prints is JSON."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if said.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.stderr}")
    found: dict[str, Any] = json.loads(said.stdout.splitlines()[-1])
    return found


def run_ours(args: argparse.Namespace) -> None:
    """The process of `run_apart`: prints a `Run`, its `wall_seconds` the time of day."""
    from kdsearch import run_study

    kind, seed = args.ours[0], int(args.ours[1])
    config = target.study(size_of(args), seed=seed, pruner=SCHEDULERS[kind], trials=args.trials)
    tree = config.model_dump() | {"sampler": {"kind": "random"}}
    watch = Watch()
    with study_folder():
        run_study(StudyConfig.model_validate(tree), workers=args.cores, listener=watch)
        ended = time.time()
    records = [record for record, _ in watch.trials]
    scores = [r.val.accuracy for r in records if r.state == "COMPLETE" and r.val is not None]
    run = Run(
        wall_seconds=ended,
        trials=len(records),
        complete=len(scores),
        epochs=sum(record.epochs for record in records),
        best=max(scores, default=0.0),
        epoch_seconds=0.0,
    )
    print(json.dumps(run._asdict()))


def report(kind: str, sides: dict[str, list[Run]], live: Run, cores: int) -> None:
    """Three rows: kdsearch, Ray with the cache, Ray with live teachers (extrapolated)."""
    plain, ours = sides["ray"], sides["ours"]
    slower = [
        run._replace(
            wall_seconds=run.wall_seconds
            + run.epochs * (live.epoch_seconds - run.epoch_seconds) / cores
        )
        for run in plain
    ]
    rows = {
        "kdsearch": ours,
        "Ray Tune, cached logits": plain,
        f"Ray Tune, {NUM_TEACHERS} live teachers*": slower,
    }
    base = statistics.median(run.wall_seconds for run in ours)
    print(f"\n{NAMES[kind]}")
    print_table(
        [
            {
                "side": side,
                "wall s": f"{statistics.median(run.wall_seconds for run in runs):.1f}",
                "times kdsearch": f"{statistics.median(r.wall_seconds for r in runs) / base:.1f}x",
                "trials": f"{runs[0].trials}",
                "complete": f"{statistics.median(run.complete for run in runs):.0f}",
                "epochs": f"{statistics.median(run.epochs for run in runs):.0f}",
                "best accuracy": f"{statistics.median(run.best for run in runs):.4f}",
            }
            for side, runs in rows.items()
        ]
    )
    print("* extrapolated: the epochs of the row above, at the seconds of a live epoch")


if __name__ == "__main__":
    main()
