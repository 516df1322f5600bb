"""A study small enough for tests: real digits, real teachers, a second of training."""

import json
from typing import Any

from kdsearch.config import StudyConfig

SMALL_STUDY: dict[str, Any] = {
    "name": "small",
    "data": {"kind": "digits"},
    "teacher": {
        "model": {"kind": "mlp", "width": 32, "depth": 1},
        "members": 2,
        "training": {"epochs": 4, "learning_rate": 5e-3},
    },
    "student": {"kind": "mlp", "width": 8, "depth": 1},
    "training": {"epochs": 9, "batch_size": 128},
    "search": {
        "temperature": {"role": "nuisance", "low": 1.0, "high": 10.0, "log": True},
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1e-1, "log": True},
        "ensemble_size": {"role": "nuisance", "values": [1, 2]},
        "width": {"role": "scientific", "values": [4, 8]},
    },
    "budget": {"trials": 6, "generation": 4},
    "sampler": {"kind": "tpe", "startup_trials": 3},
    "confirm": {"replicates": 2, "candidates": 1, "baseline": True},
    "tracking": {"models": "none"},
}


def small_study(**changes: Any) -> StudyConfig:
    """The small study, its keys sorted, with some replaced; `training__epochs` reaches inside."""
    tree = json.loads(json.dumps(SMALL_STUDY, sort_keys=True))
    for dotted, value in changes.items():
        *parents, leaf = dotted.split("__")
        node = tree
        for key in parents:
            node = node.setdefault(key, {})
        node[leaf] = value
    return StudyConfig.model_validate(tree)
