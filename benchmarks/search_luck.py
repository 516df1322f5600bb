"""How much of a result is the luck of its search?

`python -m benchmarks.search_luck` runs small studies under several study seeds. For every width
and arm it prints how far apart their confirmed accuracies are (SD over study seeds) beside what
the replicates of one study show (SD over training seeds), and how often the interval of one
study holds the mean over all; and how often two studies contradict each other ("helps" against
"hurts").
"""

import argparse
import itertools
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.study_folder import study_folder
from kdsearch import load_study, run_study
from kdsearch.analysis.answers.gain import compute_gain
from kdsearch.analysis.strata import compute_strata

MNIST1D: dict[str, Any] = {
    "name": "luck-mnist1d",
    "data": {"kind": "mnist1d", "train_samples": 10000, "val_fraction": 0.6},
    "teacher": {
        "model": {"kind": "conv1d", "width": 64},
        "members": 4,
        "training": {"epochs": 40, "learning_rate": 2e-3},
    },
    "student": {"kind": "mlp", "depth": 2},
    "training": {"epochs": 40},
    "search": {
        "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "learning_rate": {"role": "nuisance", "low": 3e-3, "high": 0.3, "log": True},
        "ensemble_size": {"role": "nuisance", "values": [1, 2, 4]},
        "width": {"role": "scientific", "values": [8, 32, 128]},
    },
    "budget": {"trials": 32},
    "tracking": {"models": "none"},
}
FASHION: dict[str, Any] = MNIST1D | {
    "name": "luck-fashion",
    "data": {"kind": "fashion_mnist", "val_fraction": 0.2, "train_fraction": 0.1},
    "teacher": {
        "model": {"kind": "cnn", "width": 8}, "members": 2, "training": {"epochs": 3},
    },
    "student": {"kind": "mlp", "depth": 1},
    "training": {"epochs": 12},
    "search": MNIST1D["search"] | {
        "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
        "ensemble_size": {"role": "nuisance", "values": [1, 2]},
    },
}  # fmt: skip
STUDIES = {"mnist1d": MNIST1D, "fashion": FASHION}
BAR = 1.5
"""Spread over study seeds, in replicate SDs."""


class Point(NamedTuple):
    """What one study says of one width: an accuracy or a gain, as fractions."""

    what: str
    width: int
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    """The replicates."""
    verdict: str = ""
    """On a gain."""


def run(tree: dict[str, Any], seed: int, kept: Path | None = None) -> list[Point]:
    """One study under one seed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.yaml"
        path.write_text(yaml.safe_dump(tree | {"seed": seed}), encoding="utf-8")
        config = load_study(path)
    with study_folder(kept and kept / f"{tree['name']}-{seed}"):
        results = run_study(config).results
    info = compute_strata(results)
    points = []
    for stratum, gain in zip(info.strata, compute_gain(info).gains, strict=True):
        width = int(stratum.key["width"])
        for what, choice in (("distilled", stratum.distilled), ("baseline", stratum.baseline)):
            assert choice is not None
            tested = tuple(t.test.accuracy for t in choice.replicates if t.test)
            points.append(_point(what, width, choice.test_score, tested))
        told = _point("gain", width, gain.estimate, gain.differences)
        points.append(told._replace(verdict=gain.verdict))
    return points


def _point(what: str, width: int, estimate: Any, values: tuple[float, ...]) -> Point:
    return Point(what, width, estimate.mean, estimate.low, estimate.high, values)


def main() -> None:
    """Run the studies and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--jobs", type=int, default=2, help="studies at once")
    parser.add_argument(
        "--keep", type=Path, help="folder of the studies; those that ended there are only analysed"
    )
    add_json_option(parser)
    args = parser.parse_args()
    machine = this_machine()
    print(header(machine))
    found: dict[str, Any] = {}
    for name in args.studies:
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            one = partial(run, STUDIES[name], kept=args.keep and args.keep.resolve())
            points = [p for told in pool.map(one, range(args.seeds)) for p in told]
        found[name] = [p._asdict() for p in points]
        show(name, points)
    write_json(args.json, machine, found)


def show(name: str, points: list[Point]) -> None:
    """One study's tables."""
    groups: dict[tuple[str, int], list[Point]] = {}
    for p in points:
        groups.setdefault((p.what, p.width), []).append(p)
    rows = []
    held: dict[str, list[bool]] = {"accuracy": [], "gain": []}
    for (what, width), own in groups.items():
        means = [p.mean for p in own]
        spread = statistics.stdev(means)
        within = float(np.sqrt(np.mean([statistics.variance(p.values) for p in own])))
        centre = statistics.fmean(means)
        inside = [p.low <= centre <= p.high for p in own]
        held["gain" if what == "gain" else "accuracy"] += inside
        rows.append(
            {
                "stratum": f"{what} {width}",
                "mean (%)": f"{100 * centre:.2f}",
                "SD over study seeds": f"{100 * spread:.2f}",
                "SD over replicates": f"{100 * within:.2f}",
                "ratio": f"{spread / within:.2f}",
                "intervals that hold the mean": f"{sum(inside)} of {len(inside)}",
            }
        )
    print(f"\n{name} (points; bar: ratio at most {BAR})")
    print_table(rows)
    pairs = [
        {a.verdict, b.verdict}
        for (what, _), own in groups.items()
        if what == "gain"
        for a, b in itertools.combinations(own, 2)
    ]
    against = sum("helps" in pair and bool(pair & {"hurts", "fell short"}) for pair in pairs)
    print(f"pairs of study seeds that contradict each other on a gain: {against} of {len(pairs)}")
    for what, flags in held.items():
        print(f"90 % intervals of one study that hold the mean over study seeds, {what}: "
              f"{sum(flags)} of {len(flags)} ({100 * np.mean(flags):.0f} %)")  # fmt: skip


if __name__ == "__main__":
    main()
