"""`studies/hinton.yaml`, smaller, on files of MNIST's format that hold scikit-learn's digits."""

import struct
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import kdsearch
from kdsearch.config import StudyConfig

pytestmark = pytest.mark.slow

STUDY = Path(__file__).parents[2] / "studies" / "hinton.yaml"
SMALLER = (
    "teacher.model.width=32", "teacher.training.epochs=6", "teacher.augment.views=3",
    "teacher.augment.shift=1", "training.epochs=6", "budget.trials=2",
    "confirm.replicates=2", "confirm.candidates=1", "pruner.kind=none", "tracking.models=none",
)  # fmt: skip


@pytest.fixture
def mnist_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits of 8 x 8 as images of 28 x 28, in the four files of MNIST."""
    digits = load_digits()
    images = np.zeros((len(digits.images), 28, 28), dtype=np.uint8)
    images[:, 2:26, 2:26] = np.kron(digits.images, np.ones((3, 3))) * (255 / 16)
    target = folder / "sets" / "mnist"
    target.mkdir(parents=True)
    for name, rows in (("train", slice(0, 1400)), ("t10k", slice(1400, None))):
        x, y = images[rows], digits.target[rows].astype(np.uint8)
        head = struct.pack(">HBB3I", 0, 8, 3, *x.shape)
        (target / f"{name}-images-idx3-ubyte").write_bytes(head + x.tobytes())
        head = struct.pack(">HBB1I", 0, 8, 1, len(y))
        (target / f"{name}-labels-idx1-ubyte").write_bytes(head + y.tobytes())
    monkeypatch.setenv("KDSEARCH_DATA", str(folder / "sets"))


def smaller() -> StudyConfig:
    config = kdsearch.load_study(STUDY, SMALLER)
    tree = config.model_dump()
    tree["search"]["width"]["values"] = [8, 16]
    tree["search"]["temperature"]["values"] = [2.0, 8.0]
    return StudyConfig.model_validate(tree)


def test_it_runs_where_the_data_are(mnist_files: None) -> None:
    config = smaller()
    result = kdsearch.run_study(config, workers=0)
    records = result.results.trials
    assert {r.state for r in records} == {"COMPLETE"}
    strata = {(r.width, r.temperature) for r in records if r.arm == "distilled"}
    assert strata == {(w, t) for w in (8, 16) for t in (2.0, 8.0)}
    assert {r.width for r in records if r.arm == "baseline"} == {8, 16}
    best = max(r.test.accuracy for r in records if r.test is not None)
    assert best > 0.5  # chance is 0.1
    assert any("temperature" in sentence for sentence in result.report.finding)
