"""How often do intervals hold, where the luck of the search is known?

`python -m benchmarks.luck_simulated` draws what studies of three widths would measure: at each
width two candidates, true settings that a search might have ended with, five replicates of each,
and validation scores that choose. It makes the intervals that reports make, and counts how often
they hold the mean over all searches. `benchmarks.search_luck` asks the same of real studies, of
which there are ten and whose luck nobody knows.
"""

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from kdsearch.analysis.luck import total_error
from kdsearch.analysis.statistics.search_luck import SearchLuck, SearchSpread
from kdsearch.analysis.statistics.variance import shrunk_variances

Array = NDArray[np.float64]
TOLERANCE = 0.005
REPLICATES = 5
POSITIONS = np.array([3.0, 5.0, 7.0])
"""Octaves of the three widths."""


class Case(NamedTuple):
    """True SDs from the narrowest to the widest, in tolerances."""

    luck: tuple[float, float, float]
    """Of what a search ends with."""
    replicates: tuple[float, float, float]


CASES = (
    Case((0.0, 0.0, 0.0), (0.4, 0.4, 0.4)),
    Case((0.0, 0.0, 0.0), (1.6, 0.4, 0.4)),
    Case((0.0, 0.0, 0.0), (2.8, 1.3, 1.2)),
    Case((0.2, 0.2, 0.2), (0.4, 0.4, 0.4)),
    Case((1.0, 1.0, 1.0), (0.4, 0.4, 0.4)),
    Case((3.0, 3.0, 3.0), (0.4, 0.4, 0.4)),
    Case((1.0, 1.0, 1.0), (2.0, 2.0, 2.0)),
    Case((3.0, 3.0, 3.0), (2.0, 2.0, 2.0)),
    Case((1.0, 1.0, 1.0), (2.0, 0.8, 0.4)),
    Case((3.0, 1.0, 0.3), (2.0, 1.0, 0.5)),
)


def study(case: Case, rng: np.random.Generator) -> tuple[Array, Array]:
    """Means of the chosen candidates, and half the lengths of their 90 % intervals, each [3]."""
    luck, scatter = TOLERANCE * np.array(case.luck), TOLERANCE * np.array(case.replicates)
    true = luck[:, None] * rng.standard_normal((3, 2))
    noise = scatter[:, None, None] * rng.standard_normal((3, 2, REPLICATES))
    test = true[..., None] + noise
    error = scatter[:, None] / np.sqrt(REPLICATES)
    chosen = (true + error * rng.standard_normal((3, 2))).argmax(axis=1)
    mine, its = test[np.arange(3), chosen], test[np.arange(3), 1 - chosen]
    freedoms = np.full(3, REPLICATES - 1.0)
    pairs = shrunk_variances(POSITIONS, (mine - its).var(axis=1, ddof=1), freedoms)
    spread = SearchSpread((mine - its).mean(axis=1), np.sqrt(pairs.values / REPLICATES))
    found = SearchLuck.of(spread, TOLERANCE)
    own = shrunk_variances(POSITIONS, mine.var(axis=1, ddof=1), freedoms)
    halves = []
    for variance in own.values / REPLICATES:
        total, dof = total_error([float(variance)], [own.dof], [found])
        halves.append(float(stats.t.ppf(0.95, dof)) * total)
    return mine.mean(axis=1), np.array(halves)


def coverage(case: Case, studies: int, seed: int) -> Array:
    """Share of studies whose interval holds the mean over all of them, [3]."""
    rng = np.random.default_rng(seed)
    drawn = [study(case, rng) for _ in range(studies)]
    means, halves = (np.array(part) for part in zip(*drawn, strict=True))
    return np.asarray((np.abs(means - means.mean(axis=0)) <= halves).mean(axis=0))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="of each case")
    parser.add_argument("--seed", type=int, default=0)
    add_json_option(parser)
    args = parser.parse_args()
    machine = this_machine()
    print(header(machine))
    found = [(case, coverage(case, args.studies, args.seed)) for case in CASES]
    print(f"{args.studies} studies of each case; SDs in tolerances, narrowest to widest; 90 %")
    print_table([
        {
            "SD of luck": " ".join(f"{x:g}" for x in case.luck),
            "SD of replicates": " ".join(f"{x:g}" for x in case.replicates),
            "narrow": f"{held[0]:.3f}", "middle": f"{held[1]:.3f}", "wide": f"{held[2]:.3f}",
            "all": f"{held.mean():.3f}",
        }
        for case, held in found
    ])  # fmt: skip
    write_json(args.json, machine, {"cases": [c._asdict() | {"held": list(h)} for c, h in found]})


if __name__ == "__main__":
    main()
