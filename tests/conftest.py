"""What all tests share: a cache, a tracking database, and a small real study."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsearch.testing.small_study import SMALL_STUDY

os.environ["OMP_NUM_THREADS"] = "1"


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
