"""What README says of the results in the repository is what today's code makes of them."""

import csv
from pathlib import Path

import numpy as np

from benchmarks.predict_largest import curves, predictions
from kdsearch.analysis import CapacityFit, fit_capacity_curve

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "reports" / "fashion-capacity" / "results.csv"


def widths() -> dict[float, float]:
    """Parameters to width."""
    with TABLE.open() as file:
        return {float(r["num_params"]): float(r["width"]) for r in csv.DictReader(file)}


def fashion() -> CapacityFit:
    points = dict(curves(TABLE))["fashion-capacity, distilled"]
    return fit_capacity_curve(list(points), list(points.values()))


def width_of(size: float) -> float:
    known = sorted(widths().items())
    x, y = np.log(np.array(known)).T
    return float(np.exp(np.interp(np.log(size), x, y)))


def test_fashion_mnist_saturates_and_readme_says_where() -> None:
    fit = fashion()
    assert fit.verdict == "saturated"
    assert fit.enough_size is not None
    assert fit.gain_from_enough is not None
    words = " ".join((ROOT / "README.md").read_text().split())
    low, high = (round(width_of(end)) for end in fit.saturation_interval)
    at = round(width_of(fit.saturation_size))
    assert f"saturated at width {at} (90 % interval {low} to {high})" in words
    enough = round(widths()[fit.enough_size])
    most = f"{100 * fit.gain_from_enough.high:.2f}"
    assert f"from width {enough} on, larger students gain at most {most} points" in words


def test_each_size_is_predicted_from_those_below_it() -> None:
    found = [p for name, points in curves(TABLE) for p in predictions(name, points)]
    assert len(found) == 10
    assert sum(p.holds for p in found) >= 9
    assert all(p.low < p.high for p in found)
