"""What all tests share: a cache, a tracking database, and a small real study."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

os.environ["OMP_NUM_THREADS"] = "1"

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


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("session")


@pytest.fixture(scope="session", autouse=True)
def shared_state(session_folder: Path) -> Iterator[None]:
    """One cache (teachers are trained once) and one tracking database for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDSEARCH_CACHE", str(session_folder / "cache"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{session_folder / 'mlflow.db'}")
        patch.delenv("KDSEARCH_DATA", raising=False)
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


WriteStudy = Callable[..., Path]


@pytest.fixture
def write_study(folder: Path) -> WriteStudy:
    """Writes the small study with some sections replaced; dotted keys reach inside."""

    def write(**changes: Any) -> Path:
        tree = yaml.safe_load(yaml.safe_dump(SMALL_STUDY))
        for dotted, value in changes.items():
            *parents, leaf = dotted.split("__")
            node = tree
            for key in parents:
                node = node.setdefault(key, {})
            node[leaf] = value
        path = folder / f"{tree['name']}.yaml"
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path

    return write
