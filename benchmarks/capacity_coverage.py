"""How often is `fit_capacity_curve` right? Coverage, false claims and power, by simulation.

`python -m benchmarks.capacity_coverage` draws accuracies of students around known curves, each
time under another design: how many sizes and replicates, how replicates scatter (the same
everywhere, or less for large students), how far the luck of each size's search moves it (the
size effect), and whether all sizes share a test set whose draw counts. A claim of "saturated" is
false if a larger tested size is truly better than the one called enough by more than the
tolerance; one of "still rising", if the last doubling truly gains less than counts as a rise.
Nearly half of the curves are not in the dictionary that the fit averages over.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from kdsearch.analysis import fit_capacity_curve
from kdsearch.analysis.statistics.gains import RISING as RISE

Array = NDArray[np.float64]
TOLERANCE = 0.005
NUM_SIZES = (6, 8, 9, 12)
REPLICATES = (3, 5, 10)
EFFECTS = (0.0, 0.001, 0.002, 0.003)
"""SD of the size effect."""
TEST_SAMPLES = 10_000
SHARED = 0.8
"""Correlation of two students' errors on the test set, where its draw counts."""
BARS = {
    "false claims, mean": 0.03,
    "false claims, worst curve": 0.10,
    "false rises, mean": 0.05,
    "coverage": (0.88, 0.97),
    "undetermined": 0.05,
    "power": 0.7,
}


class Curve(NamedTuple):
    """Accuracy over u, octaves above the smallest size, for a range of `span` octaves."""

    name: str
    in_dictionary: bool
    accuracy: Callable[[Array, float], Array]


def _flat_until(u: Array, at: float, height: float, width: float) -> Array:
    return height / (1 + np.exp(-(u - at) / width))


SATURATING = (
    Curve("power law", True, lambda u, s: 0.93 - 0.3 * 2 ** (-1.4 * u * 6 / s)),
    Curve("stretched exponential", True,
          lambda u, s: 0.9 - 0.25 * np.exp(-(2 ** (u * 6 / s - 2)))),
    Curve("logistic", True, lambda u, s: 0.6 + 0.3 / (1 + np.exp(-(u - 0.3 * s) * 11 / s))),
    Curve("plateau", True, lambda u, s: 0.7 + 0.2 * np.minimum(u / (0.5 * s), 1.0)),
    Curve("Michaelis-Menten", False, lambda u, s: 0.92 - 0.3 / (1 + 2 ** (1.3 * u * 6 / s))),
    Curve("Gaussian integral", False, lambda u, s: 0.7 + 0.1 * _erf((u - 0.25 * s) * 4 / s)),
    Curve("two plateaus", True, lambda u, s: 0.7 + _flat_until(u, 0.12 * s, 0.1, 0.03 * s)
          + _flat_until(u, 0.45 * s, 0.08, 0.03 * s)),
    Curve("exponential in octaves", False, lambda u, s: 0.9 - 0.2 * np.exp(-7 * u / s)),
    Curve("three plateaus", False, lambda u, s: 0.7 + _flat_until(u, 0.08 * s, 0.06, 0.02 * s)
          + _flat_until(u, 0.25 * s, 0.05, 0.02 * s) + _flat_until(u, 0.45 * s, 0.05, 0.02 * s)),
    Curve("sine to a plateau", False,
          lambda u, s: 0.7 + 0.2 * np.sin(np.pi / 2 * np.minimum(u / (0.45 * s), 1.0))),
    Curve("all equal", True, lambda u, s: np.full_like(u, 0.9)),
)  # fmt: skip
"""Flat by the middle of the range."""


def _last(
    gain: float, name: str, in_dictionary: bool, shape: Callable[[Array, float], Array]
) -> Curve:
    """A curve whose last doubling gains so many tolerances."""

    def accuracy(u: Array, span: float) -> Array:
        ends = shape(np.array([span - 1.0, span]), span)
        return 0.85 + (shape(u, span) - ends[1]) * gain * TOLERANCE / (ends[1] - ends[0])

    return Curve(f"{name}, last doubling {gain:g} tolerances", in_dictionary, accuracy)


RISING = (
    _last(1.3, "line in log N", True, lambda u, s: u),
    _last(1.3, "slow power law", True, lambda u, s: -(2 ** (-0.25 * u))),
    _last(2.0, "power law", True, lambda u, s: -(2 ** (-0.35 * u))),
    _last(1.5, "square root of log N", False, lambda u, s: np.sqrt(u)),
    _last(1.5, "logarithm of log N", True, lambda u, s: np.log1p(u)),
    _last(1.5, "convex", False, lambda u, s: u**1.5),
    _last(2.0, "flat, then a late rise", True,
          lambda u, s: _flat_until(u, 0.9 * s, 1.0, 0.08 * s)),
    _last(2.0, "flat, then a rise at the last size", True,
          lambda u, s: np.maximum(u - (s - 1), 0.0)),
    _last(1.5, "saturating, then a second rise", True, lambda u, s: 1 - 2 ** (-1.5 * u)
          + 0.6 / (1 + np.exp(-(u - 0.9 * s) / 0.5))),
    _last(1.5, "line in waves", False, lambda u, s: u + 0.4 * np.sin(2 * u)),
    _last(2.0, "four steps", False, lambda u, s: sum(
        _flat_until(u, at * s, 1.0, 0.04 * s) for at in (0.2, 0.45, 0.7, 0.95)) + 0 * u),
    _last(1.5, "pause in the middle", False,
          lambda u, s: np.minimum(u, 0.3 * s) + np.maximum(u - 0.7 * s, 0.0)),
)  # fmt: skip
"""Not saturated: the largest size is better than half of it by more than the tolerance."""


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


class Draw(NamedTuple):
    """One simulation."""

    curve: str
    rising: bool
    num_sizes: int
    replicates: int
    scatter: str
    effect: float
    tested: bool
    """Whether the draw of the test set counted."""
    verdict: str
    false: bool
    false_rise: bool
    covered: bool
    resolvable: bool
    """Replicates of at most half the tolerance, and five or more of them."""


SCATTERS: dict[str, Callable[[Array, float], Array]] = {
    "0.1 points": lambda u, s: np.full_like(u, 0.001),
    "0.25 points": lambda u, s: np.full_like(u, 0.0025),
    "0.5 points": lambda u, s: np.full_like(u, 0.005),
    "0.4 falling to 0.1": lambda u, s: 0.004 * 4 ** (-u / s),
}


def simulate(curve: Curve, rising: bool, number: int, seed: int) -> Draw:
    """Draw a design and its data, fit, compare with the truth."""
    rng = np.random.default_rng([seed, number, *curve.name.encode()])
    designs = list(itertools.product(NUM_SIZES, REPLICATES, SCATTERS, EFFECTS))
    num_sizes, replicates, scatter, effect = designs[int(rng.integers(len(designs)))]
    octaves = np.arange(num_sizes, dtype=float)
    span = octaves[-1]
    truth = curve.accuracy(octaves, span)
    sd = SCATTERS[scatter](octaves, span)
    tested = bool(rng.random() < 0.5)
    covariance = None
    means = truth + effect * rng.standard_normal(num_sizes)
    if tested:
        variance = truth * (1 - truth) / TEST_SAMPLES
        root = np.sqrt(variance)
        covariance = np.outer(root, root) * (SHARED + (1 - SHARED) * np.eye(num_sizes))
        means = means + rng.multivariate_normal(np.zeros(num_sizes), covariance)
    data = means[:, None] + sd[:, None] * rng.standard_normal((num_sizes, replicates))
    fit = fit_capacity_curve(
        100 * 2.0**octaves, np.clip(data, 0, 1), tolerance=TOLERANCE, covariance=covariance
    )
    gain = truth[-1] - truth
    enough = fit.enough_size
    false = False
    if fit.verdict == "saturated" and enough is not None:
        false = bool(gain[round(np.log2(enough / 100))] > TOLERANCE)
    fine = np.linspace(0, span, 20_001)
    better = curve.accuracy(np.array([span]), span) - curve.accuracy(fine, span)
    at = (
        float(fine[np.flatnonzero(better > TOLERANCE)[-1] + 1])
        if (better > TOLERANCE).any()
        else 0.0
    )
    rise = fit.verdict == "not_saturated" and fit.is_rising
    false_rise = bool(rise and gain[-2] <= RISE * TOLERANCE)
    low, high = fit.saturation_interval
    covered = (low == 0 or np.log2(low / 100) <= at + 1e-3) and at - 1e-3 <= np.log2(high / 100)
    resolvable = replicates >= 5 and float(sd.mean()) <= TOLERANCE / 2
    return Draw(
        curve.name, rising, num_sizes, replicates, scatter, effect, tested, fit.verdict, false,
        false_rise, bool(covered), resolvable,
    )  # fmt: skip


def _simulate(job: tuple[bool, int, int, int]) -> Draw:
    rising, index, number, seed = job
    return simulate((RISING if rising else SATURATING)[index], rising, number, seed)


def share(draws: Sequence[Draw], what: Callable[[Draw], bool]) -> str:
    """How many, as a share; a dash of none."""
    return f"{np.mean([what(d) for d in draws]):.3f}" if draws else "-"


def row(name: str, draws: Sequence[Draw]) -> dict[str, str]:
    """Rates of some simulations."""
    power = [d for d in draws if not d.rising]
    return {
        "simulations": name,
        "n": str(len(draws)),
        "false saturated": share(draws, lambda d: d.false),
        "false rise": share(draws, lambda d: d.false_rise),
        "coverage": share(draws, lambda d: d.covered),
        "undetermined": share(draws, lambda d: d.verdict == "undetermined"),
        "power": share(power, lambda d: d.verdict == "saturated"),
    }


def report(draws: Sequence[Draw]) -> None:
    """By curve, then by each part of the design, then the bars."""
    names = dict.fromkeys(d.curve for d in draws)
    print_table([row(name, [d for d in draws if d.curve == name]) for name in names])
    parts = [
        row(f"{field} {value}", [d for d in draws if getattr(d, field) == value])
        for field in ("num_sizes", "replicates", "scatter", "effect", "tested")
        for value in dict.fromkeys(sorted({getattr(d, field) for d in draws}, key=str))
    ]
    print()
    print_table(parts)
    moderate = [d for d in draws if d.effect <= 0.002]
    worst = max((np.mean([d.false for d in moderate if d.curve == name]), name) for name in names)
    resolvable = [d for d in draws if d.resolvable]
    found = [
        ("false claims, mean", share(draws, lambda d: d.false)),
        ("false claims, worst curve", f"{worst[0]:.3f} ({worst[1]}; size effect up to 0.2)"),
        ("false rises, mean", share(draws, lambda d: d.false_rise)),
        ("coverage", share(draws, lambda d: d.covered)),
        ("undetermined", share(resolvable, lambda d: d.verdict == "undetermined")),
        (
            "power",
            share([d for d in resolvable if not d.rising], lambda d: d.verdict == "saturated"),
        ),
    ]
    print("\nBars (undetermined and power: replicate SD up to half the tolerance, n of 5 or more)")
    print_table([{"what": name, "found": value, "bar": str(BARS[name])} for name, value in found])


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=300, help="of each curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    add_json_option(parser)
    args = parser.parse_args()
    machine = this_machine()
    print(header(machine))
    jobs = [
        (rising, index, number, args.seed)
        for rising, curves in ((False, SATURATING), (True, RISING))
        for index in range(len(curves))
        for number in range(args.simulations)
    ]
    with ProcessPoolExecutor(args.jobs) as pool:
        draws = list(pool.map(_simulate, jobs, chunksize=20))
    print(f"{args.simulations} simulations of each of {len(SATURATING) + len(RISING)} curves")
    report(draws)
    write_json(args.json, machine, {"draws": [d._asdict() for d in draws]})


if __name__ == "__main__":
    main()
