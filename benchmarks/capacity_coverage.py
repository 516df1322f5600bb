"""How often is `fit_capacity_curve` right? Coverage and false claims, by simulation.

Run:  .venv/bin/python benchmarks/capacity_coverage.py [--simulations 200] [--seed 0]
Time: about 2.5 minutes on one core for 200 simulations of each row.
Seen: coverage 0.865 to 0.935 (mean 0.896); "saturated" never claimed with N* beyond the range; at
most 0.070 on curves that are no power law. The price: of true power laws with N* in range, 83 to
91 % are called saturated at SD 0.002, and almost none at SD 0.006, where 3 to 5 replicates
cannot resolve half a point.

Accuracies of students with 8 ... 1024 units (8 sizes) are drawn around a known curve with normal
noise. Above the line are power laws, where the 90 % interval of N* should contain the truth in
about 90 % of cases; below it curves that are not power laws, where "saturated" is a false claim.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdsearch.analysis import fit_capacity_curve

Array = NDArray[np.float64]
SIZES: Array = np.array([8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0])
TOLERANCE = 0.005
DESIGNS = tuple((replicates, noise) for replicates in (3, 5) for noise in (0.002, 0.006))


class Curve(NamedTuple):
    """Error by size. `saturation` is the true N*; None where the curve is no power law."""

    name: str
    error: Callable[[Array], Array]
    saturation: float | None


def power_law(name: str, floor: float, scale: float, exponent: float) -> Curve:
    """Error = floor + scale * N^-exponent."""
    true = (scale / TOLERANCE) ** (1 / exponent)
    return Curve(f"{name} (N* {true:,.0f})", lambda n: floor + scale * n**-exponent, true)


def broken(name: str, floor: float, first: float, second: float, at: float) -> Curve:
    """A power law whose exponent changes at one size."""

    def error(n: Array) -> Array:
        return floor + 1.2 * np.minimum(n, at) ** -first * np.maximum(n / at, 1.0) ** -second

    return Curve(name, error, None)


def bend(n: Array) -> Array:
    """A smoothly broken law: exponent 0.6 that turns into 0.1 around 64 (BNSL, one break)."""
    return 0.02 + 0.6 * n**-0.6 * (1 + (n / 64) ** (1 / 0.3)) ** (0.5 * 0.3)


POWER_LAWS = (
    power_law("power law", 0.05, 1.2, 0.9),
    power_law("steeper", 0.10, 2.0, 1.2),
    power_law("almost no floor", 0.005, 1.2, 0.9),
    power_law("N* beyond the range", 0.05, 0.5, 0.6),
    power_law("N* far beyond", 0.05, 0.5, 0.4),
)
OTHERS = (
    Curve("plateau from 64", lambda n: 0.08 + 0.03 * np.maximum(0, np.log2(64 / n)), None),
    Curve("plateau from 256", lambda n: 0.08 + 0.03 * np.maximum(0, np.log2(256 / n)), None),
    Curve("power law cut at 128", lambda n: 1.2 * np.minimum(n, 128.0) ** -0.9, None),
    broken("broken: 0.9, then 0.25", 0.05, 0.9, 0.25, 64),
    broken("broken: 0.9, then 0.1", 0.0, 0.9, 0.1, 64),
    broken("broken: 0.5, then 0.2", 0.0, 0.5, 0.2, 64),
    Curve("bend: 0.6 to 0.1 (mimic)", bend, None),
    Curve("straight line in log N", lambda n: 0.3 - 0.03 * np.log2(n / 8), None),
    Curve("shallow straight line", lambda n: 0.1 - 0.003 * np.log2(n / 8), None),
    Curve("all equal", lambda n: np.full_like(n, 0.1), None),
    Curve("U shape", lambda n: 0.13 + 0.012 * np.abs(np.log2(n / 128)), None),
    Curve(
        "peak at 128",
        lambda n: 0.05 + 1.2 * n**-0.9 + 0.003 * np.maximum(0, np.log2(n / 128)),
        None,
    ),
)


class Row(NamedTuple):
    """Rates over the simulations of one curve and design."""

    coverage: float
    """N* inside its interval; NaN where there is no N*."""
    band: float
    """Share of sizes whose true accuracy is inside the band."""
    width: float
    """Median of interval high / low."""
    saturated: float
    not_saturated: float
    undetermined: float


def simulate(curve: Curve, replicates: int, noise: float, simulations: int, seed: int) -> Row:
    """Draw, fit and count."""
    rng = np.random.default_rng([seed, replicates, round(1e6 * noise), *curve.name.encode()])
    truth = 1 - curve.error(SIZES)
    covered, band, width, verdicts = [], [], [], []
    for _ in range(simulations):
        drawn = truth[:, None] + rng.normal(0, noise, (SIZES.size, replicates))
        fit = fit_capacity_curve(SIZES, np.clip(drawn, 0, 1), tolerance=TOLERANCE)
        low, high = fit.saturation_interval
        covered.append(np.nan if curve.saturation is None else low <= curve.saturation <= high)
        predicted = fit.predict(SIZES)
        band.append(np.mean((predicted.low <= truth) & (truth <= predicted.high)))
        width.append(high / max(low, 1e-300))
        verdicts.append(fit.verdict)
    rates = [
        verdicts.count(v) / simulations for v in ("saturated", "not_saturated", "undetermined")
    ]
    return Row(float(np.mean(covered)), float(np.mean(band)), float(np.median(width)), *rates)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{arguments.simulations} simulations a row, tolerance {TOLERANCE}, confidence 0.9")
    header = "coverage  band  high/low  saturated  not_saturated  undetermined"
    print(f"{'curve':32s} {'n':>2s} {'SD':>6s}  {header}")
    for curve in (*POWER_LAWS, None, *OTHERS):
        if curve is None:
            print("-" * 110)
            continue
        for replicates, noise in DESIGNS:
            row = simulate(curve, replicates, noise, arguments.simulations, arguments.seed)
            coverage = "" if np.isnan(row.coverage) else f"{row.coverage:.3f}"
            width = f"{row.width:.2f}" if row.width < 1e6 else "open"
            print(
                f"{curve.name:32s} {replicates:2d} {noise:6.3f}  {coverage:>8s} {row.band:5.2f} "
                f"{width:>9s} {row.saturated:10.3f} {row.not_saturated:14.3f} "
                f"{row.undetermined:13.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
