"""Samplers and pruners, each on a study of seconds."""

from typing import Any

from kdsearch.results import Results

ONE_WIDTH = {"role": "fixed", "value": 4}
SURFACE = {"sampler": {"kind": "surface"}}
TWO = {"confirm": {"replicates": 2, "candidates": 2, "baseline": True}}
# Of six trials of each arm, all of the first generation, a rung can be judged.
SIX = {"budget": {"trials": 12, "generation": 6}, "search__width": ONE_WIDTH}
FEW_SETTINGS = {
    "temperature": {"role": "nuisance", "values": [1.0, 3.0]},
    "alpha": {"role": "nuisance", "values": [0.0, 0.5]},
    "learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1e-1, "step": 9e-3},
    "width": ONE_WIDTH,
}
"""A grid of 48, and of 12 on hard labels, which is the budget."""


def pruner(kind: str) -> dict[str, object]:
    """One that stops students of the small study, however badly its few trials forecast."""
    return {"kind": kind, "min_epochs": 1, "min_correlation": 0.0}


def method(sampler: dict[str, Any], stops: str = "none", **changes: Any) -> dict[str, Any]:
    """Changes to the small study."""
    stopping = {} if stops == "none" else {"pruner": pruner(stops)}
    return SIX | {"sampler": sampler} | stopping | changes


TPE = {"kind": "tpe", "startup_trials": 3}
GP = {"kind": "gp", "startup_trials": 3}
NSGA2 = {"kind": "nsga2", "population_size": 4}
GRID = {
    "sampler": {"kind": "grid"},
    "search": FEW_SETTINGS,
    "budget": {"trials": 12, "generation": 6},
}
METHODS: dict[str, dict[str, Any]] = {
    "tpe": {},
    "tpe-halving": method(TPE, "halving"),
    "tpe-median": method(TPE, "median"),
    "tpe-hyperband": method(TPE, "hyperband"),
    "random": method({"kind": "random"}),
    "random-halving": method({"kind": "random"}, "halving"),
    "gp": method(GP),
    "gp-median": method(GP, "median"),
    "qmc": method({"kind": "qmc"}),
    "qmc-hyperband": method({"kind": "qmc"}, "hyperband"),
    "nsga2": method(NSGA2),
    "nsga2-halving": method(NSGA2, "halving"),
    "grid": GRID,
    "grid-median": GRID | {"pruner": pruner("median")},
    "surface": SURFACE | TWO,
    "surface-halving": SURFACE | TWO | {"pruner": pruner("halving")},
    "surface-hyperband": SURFACE | TWO | {"pruner": pruner("hyperband")},
}
"""Each sampler with and without a pruner; tpe, whose proposals are widest, with each. The median
pruner stops nobody of the surface in studies this small: its proposals lie above the median."""


def check_that_it_did_what_it_is_called(results: Results, name: str) -> None:
    """A test of nothing would be passed by everything."""
    sampler, *stops = name.split("-")
    assert results.config.sampler_kind == sampler
    searched = results.select(stage="search")
    assert any(t.state == "PRUNED" for t in searched) == bool(stops)
    if name == "surface":  # on its first look it tries the best settings of hard labels
        tried = [t for t in searched if t.arm == "distilled" and t.alpha == 1.0]
        assert [t.width for t in tried] == [4, 8]
