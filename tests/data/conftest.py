"""Small real sources of every kind, written by the tests themselves."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from kdsearch.config import DataConfig
from kdsearch.data import Dataset, load_dataset

COUNTS = (30, 20, 10)  # samples of each class in the tests' own training sets
TEST_COUNTS = (5, 4, 3)

Load = Callable[..., Dataset]
WriteIdx = Callable[..., Path]


def _labels(counts: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts))


def _pixels(count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(count, *shape), dtype=np.uint8)


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDSEARCH_DATA", raising=False)
    monkeypatch.setenv("KDSEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def load() -> Load:
    """Load what a `data:` section, given as keyword arguments, describes."""

    def load_section(**section: object) -> Dataset:
        return load_dataset(TypeAdapter[DataConfig](DataConfig).validate_python(section))

    return load_section


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Samples [5, 4] with 30, 20 and 10 of the three classes, and a test set."""
    y, y_test = _labels(COUNTS), _labels(TEST_COUNTS)
    return {
        "x": _pixels(len(y), (5, 4), seed=1),
        "y": y,
        "x_test": _pixels(len(y_test), (5, 4), seed=2),
        "y_test": y_test,
    }


@pytest.fixture
def write_idx(arrays: dict[str, np.ndarray]) -> WriteIdx:
    """Write `arrays` as four MNIST-format files into a folder."""

    def write(folder: Path, *, gzipped: bool = False, mark: str = "-") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for part, suffix in (("train", ""), ("t10k", "_test")):
            for kind, array in (
                ("images", arrays[f"x{suffix}"]),
                ("labels", arrays[f"y{suffix}"]),
            ):
                header = struct.pack(f">{1 + array.ndim}I", 2048 + array.ndim, *array.shape)
                content = header + array.astype(np.uint8).tobytes()
                name = f"{part}-{kind}{mark}idx{array.ndim}-ubyte"
                if gzipped:
                    (folder / f"{name}.gz").write_bytes(gzip.compress(content))
                else:
                    (folder / name).write_bytes(content)
        return folder

    return write


IMPORTED = """
import numpy as np

def make(path, with_test=False):
    arrays = np.load(path, allow_pickle=False)
    names = ("x", "y", "x_test", "y_test") if with_test else ("x", "y")
    return tuple(arrays[name] for name in names)
"""


class Sources:
    """Makes the `data:` section of each kind under test."""

    def __init__(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        arrays: dict[str, np.ndarray],
        write_idx: WriteIdx,
    ) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.arrays = arrays
        self.write_idx = write_idx

    def npz(self, *names: str) -> str:
        path = self.folder / "data.npz"
        chosen = {name: self.arrays[name] for name in names}
        np.savez(path, allow_pickle=False, **chosen)
        return str(path)

    def imported(self, *, with_test: bool) -> dict[str, object]:
        (self.folder / "contract_data.py").write_text(IMPORTED)
        self.monkeypatch.chdir(self.folder)
        self.monkeypatch.syspath_prepend(self.folder)
        path = self.npz("x", "y", "x_test", "y_test")
        options = {"path": path, "with_test": with_test}
        return {"kind": "import", "target": "contract_data:make", "options": options}

    def section(self, source: str) -> dict[str, object]:
        match source:
            case "digits":
                return {"kind": "digits"}
            case "mnist1d":
                return {"kind": "mnist1d", "train_samples": 300, "test_samples": 100}
            case "idx":
                return {"kind": "idx", "root": str(self.write_idx(self.folder / "idx"))}
            case "idx-gzipped":
                root = self.write_idx(self.folder / "idx", gzipped=True)
                return {"kind": "idx", "root": str(root)}
            case "mnist" | "fashion_mnist":
                self.write_idx(self.folder / "sets" / source, mark=".")
                self.monkeypatch.setenv("KDSEARCH_DATA", str(self.folder / "sets"))
                return {"kind": source}
            case "npz":
                return {"kind": "npz", "path": self.npz("x", "y")}
            case "npz-with-test":
                return {"kind": "npz", "path": self.npz("x", "y", "x_test", "y_test")}
            case "import":
                return self.imported(with_test=False)
            case "import-with-test":
                return self.imported(with_test=True)
            case _:
                raise ValueError(source)


@pytest.fixture
def sources(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrays: dict[str, np.ndarray],
    write_idx: WriteIdx,
) -> Sources:
    return Sources(tmp_path, monkeypatch, arrays, write_idx)
