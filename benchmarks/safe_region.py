"""How often the region of temperature and alpha holds the true optimum, and how large it is.

`python -m benchmarks.safe_region` simulates searches on surfaces whose optimum is known (peaked,
ridge, flat), with the default sampler choosing the trials, and compares the region that the report
would show with the truth: all settings within the tolerance of the best.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import header, this_machine
from benchmarks.simulated import simulate, trained
from kdsearch.analysis.answers.optimum import compute_optimum
from kdsearch.analysis.response.optimum_map import CELLS
from kdsearch.analysis.strata import compute_strata
from kdsearch.config import StudyConfig
from kdsearch.results import Results, TrialRecord

Array = NDArray[np.float64]
WIDTHS = (8, 16, 32, 64, 128, 256)
LOW_T, HIGH_T = 1.0, 20.0
TOLERANCE = 0.005


class Shape(NamedTuple):
    """What a teacher adds, as a function of temperature and alpha; hard labels have 0."""

    name: str
    gain: Callable[[Array, Array, float], Array]
    """Of log temperature (0 to 1 over the range), alpha and width (0 to 1), in points / 100."""


def peaked(t: Array, alpha: Array, width: float) -> Array:
    """One best temperature, moving with width, at alpha 0.3."""
    centre = 0.35 + 0.3 * width
    teach = (1 - alpha) * (0.3 + alpha) / 0.42
    return np.asarray(0.06 * teach * np.exp(-((t - centre) ** 2) / (2 * 0.25**2)))


def ridge(t: Array, alpha: Array, width: float) -> Array:
    """A higher temperature makes up for a larger alpha."""
    off = t - (0.2 + 0.6 * alpha + 0.1 * width)
    return np.asarray(0.05 * (1 - alpha) ** 0.3 * np.exp(-(off**2) / (2 * 0.2**2)))


def flat(t: Array, alpha: Array, width: float) -> Array:
    """Teachers change nothing."""
    del alpha, width
    return np.zeros_like(t)


SHAPES = (Shape("peaked", peaked), Shape("ridge", ridge), Shape("flat", flat))


def study(trials: int, seed: int) -> StudyConfig:
    """The search of `studies/temp_alpha.yaml`."""
    return StudyConfig.model_validate(
        {
            "name": "simulated",
            "seed": seed,
            "data": {"kind": "digits"},
            "teacher": {"model": {"kind": "mlp"}, "members": 4},
            "student": {"kind": "mlp"},
            "search": {
                "temperature": {"role": "nuisance", "low": LOW_T, "high": HIGH_T, "log": True},
                "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
                "learning_rate": {"role": "nuisance", "low": 3e-3, "high": 0.3, "log": True},
                "ensemble_size": {"role": "nuisance", "values": [1, 2, 4]},
                "width": {"role": "scientific", "values": list(WIDTHS)},
            },
            "budget": {"trials": trials},
            "study": {"tolerance": TOLERANCE},
        }
    )


def truth(shape: Shape, record: TrialRecord) -> float:
    """Expected accuracy of a student."""
    width = math.log(record.width / WIDTHS[0]) / math.log(WIDTHS[-1] / WIDTHS[0])
    rate = math.log(record.learning_rate / 3e-3) / math.log(100)
    score = 0.5 + 0.25 * width - 0.15 * (rate - 0.75 + 0.2 * width) ** 2
    if record.alpha < 1 and record.temperature is not None and record.ensemble_size is not None:
        t = math.log(record.temperature / LOW_T) / math.log(HIGH_T / LOW_T)
        score += float(shape.gain(np.array(t), np.array(record.alpha), width))
        score += 0.01 * (1 - record.alpha) * math.log2(record.ensemble_size) / 2
    return score


class Judged(NamedTuple):
    """One region against the truth."""

    holds: bool
    size_ratio: float
    share: float
    is_safe: bool
    claim_holds: bool
    """Whether all of the region is as good as the report says."""


def searched(shape: Shape, *, trials: int, noise: float, seed: int) -> Results:
    """One simulated study."""
    config, rng = study(trials, seed), np.random.default_rng(seed)

    def train(record: TrialRecord) -> TrialRecord:
        return trained(record, truth(shape, record) + noise * float(rng.standard_normal()))

    return Results(config=config, trials=tuple(simulate(config, train)), banks=())


def judge(shape: Shape, results: Results) -> list[Judged]:
    """Its regions, width by width."""
    info = compute_optimum(results, compute_strata(results))
    line = np.linspace(0, 1, CELLS[2])
    t, alpha = np.meshgrid(line, line, indexing="ij")
    judged = []
    for o in info.optima:
        assert o.size is not None
        width = math.log(o.size / WIDTHS[0]) / math.log(WIDTHS[-1] / WIDTHS[0])
        gain = shape.gain(t, alpha, width) + 0.01 * (1 - alpha)  # four teachers are best
        good = gain >= gain.max() - TOLERANCE
        cost = gain.max() - gain[o.region.mask]
        judged.append(
            Judged(
                holds=bool(cost.min() < 1e-9),  # where the truth is flat, there are many optima
                size_ratio=o.region.share / float(good.mean()),
                share=o.region.share,
                is_safe=o.region.is_safe,
                claim_holds=bool(cost.max() <= max(o.region.cost, TOLERANCE)),
            )
        )
    return judged


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=12)
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.02])
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print(header(this_machine()))
    print_head()
    everything: list[list[Judged]] = []
    with ProcessPoolExecutor(args.workers) as pool:
        for shape in SHAPES:
            for noise in args.noise:
                jobs = [
                    pool.submit(one, shape.name, args.trials, noise, seed)
                    for seed in range(args.studies)
                ]
                found = [job.result() for job in jobs]
                everything += found
                print(row(shape.name, f"{100 * noise:g}", found), flush=True)
    print(row("all", "", everything))


def one(name: str, trials: int, noise: float, seed: int) -> list[Judged]:
    """A study by its shape's name, judged."""
    shape = next(s for s in SHAPES if s.name == name)
    return judge(shape, searched(shape, trials=trials, noise=noise, seed=seed))


def print_head() -> None:
    """Of the table. The widths of a study share a surface, so the error is that over studies."""
    print(
        "| shape | noise | n | holds the optimum, SE over studies | size / true size, median "
        "| share | safe |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")


def row(name: str, noise: str, studies: Sequence[Sequence[Judged]]) -> str:
    """A line of the table."""
    held = [np.mean([j.holds for j in widths]) for widths in studies]
    found = [j for widths in studies for j in widths]
    error = np.std(held, ddof=1) / math.sqrt(len(held)) if len(held) > 1 else math.nan
    cells = (
        name,
        noise,
        str(len(found)),
        f"{100 * np.mean(held):.0f} ± {100 * error:.0f} %",
        f"{np.median([j.size_ratio for j in found]):.2f}",
        f"{100 * np.median([j.share for j in found]):.0f} %",
        f"{100 * np.mean([j.is_safe for j in found]):.0f} %",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
