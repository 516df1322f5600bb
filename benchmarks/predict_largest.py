"""Does `study predict` hold what larger students then reach?

`python -m benchmarks.predict_largest [results.csv ...]` takes tables of finished studies (those
committed under `reports/` if none is named), hides the largest sizes of each curve, predicts the
smallest of the hidden ones from the others, and counts how often the interval holds it.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import print_table
from kdsearch.analysis import fit_capacity_curve

REPORTS = Path(__file__).parents[1] / "reports"
KEPT = Path(__file__).parent / "results" / "fashion_mlp_of_cnn.csv"
"""A larger study of version 0.1: MLPs of convolutional teachers."""
LEAST = 4
"""Sizes that a prediction is made from."""


class Prediction(NamedTuple):
    """One hidden size."""

    curve: str
    seen: int
    hidden: float
    """Its parameters."""
    doublings: float
    """From the largest size seen."""
    measured: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether the interval holds the mean that was measured."""
        return self.low <= self.measured <= self.high


def curves(path: Path) -> Iterator[tuple[str, dict[int, list[float]]]]:
    """Confirmed test accuracies by size, of each arm.

    Of each size those of the candidate that validation chose.
    """
    with path.open() as file:
        rows = [r for r in csv.DictReader(file) if r["stage"] == "confirm" and r["test_accuracy"]]
    for arm in ("distilled", "baseline"):
        by_trial: dict[tuple[int, str], list[dict[str, str]]] = {}
        for r in rows:
            if r["arm"] == arm:
                by_trial.setdefault((int(r["num_params"]), r["trial"]), []).append(r)
        best: dict[int, tuple[float, list[float]]] = {}
        for (size, _), own in by_trial.items():
            merit = float(np.mean([float(r["val_accuracy"]) for r in own]))
            if size not in best or merit > best[size][0]:
                best[size] = merit, [float(r["test_accuracy"]) for r in own]
        if len(best) > LEAST:
            name = path.parent.name if path.name == "results.csv" else path.stem
            yield f"{name}, {arm}", {s: best[s][1] for s in sorted(best)}


def predictions(name: str, points: dict[int, list[float]]) -> Iterator[Prediction]:
    """Each size but the first few, from those below it."""
    sizes = list(points)
    for seen in range(LEAST, len(sizes)):
        fit = fit_capacity_curve(sizes[:seen], [points[s] for s in sizes[:seen]])
        hidden = sizes[seen]
        band = fit.predict(hidden, luck=True)
        error = np.std(points[hidden], ddof=1) / np.sqrt(len(points[hidden]))
        yield Prediction(
            name, seen, hidden, float(np.log2(hidden / sizes[seen - 1])),
            float(np.mean(points[hidden])), float(band.low - 1.645 * error),
            float(band.high + 1.645 * error),
        )  # fmt: skip


def main() -> None:
    """Predict and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", type=Path)
    args = parser.parse_args()
    tables = args.tables or [KEPT, *sorted(REPORTS.glob("*/results.csv"))]
    found = [
        p for path in tables for name, points in curves(path) for p in predictions(name, points)
    ]
    print_table([
        {
            "curve": p.curve, "sizes seen": str(p.seen), "hidden": f"{p.hidden:,.0f}",
            "doublings away": f"{p.doublings:.1f}", "measured": f"{100 * p.measured:.2f}",
            "predicted (90 %)": f"{100 * p.low:.2f} to {100 * p.high:.2f}",
            "holds": "yes" if p.holds else "no",
        }
        for p in found
    ])  # fmt: skip
    if found:
        print(f"{sum(p.holds for p in found)} of {len(found)} intervals hold what was measured")


if __name__ == "__main__":
    main()
