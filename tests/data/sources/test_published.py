import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from sklearn.utils import Bunch

from kdsearch.data.sources.fashion_mnist import DEBIAN_FOLDER
from kdsearch.errors import DataError

has_debian_package = pytest.mark.skipif(
    not (DEBIAN_FOLDER / "train-images-idx3-ubyte.gz").exists(),
    reason="Debian's dataset-fashion-mnist is not installed",
)


@pytest.fixture
def openml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, object]]]:
    """Replace the only step that needs a network; gives the list of calls to it."""

    def answer_with(answer: Callable[[], Bunch]) -> list[dict[str, object]]:
        calls: list[dict[str, object]] = []

        def fetch(name: str, **options: object) -> Bunch:
            calls.append({"name": name, **options})
            return answer()

        monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
        return calls

    return answer_with


@pytest.fixture
def no_system_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        "kdsearch.data.sources.fashion_mnist.DEBIAN_FOLDER", tmp_path / "not-installed"
    )


def full_bunch() -> Bunch:
    """70,000 samples as OpenML sends them: flat pixels, labels as strings, official order."""
    data = np.zeros((70_000, 784), dtype=np.uint8)
    data[:, 0] = np.arange(70_000) % 251
    data[60_000:, 1] = 1  # marks the test samples
    return Bunch(data=data, target=(np.arange(70_000) % 10).astype(str).astype(object))


def unplugged() -> Bunch:
    raise urllib.error.URLError("Name or service not known")


@pytest.mark.slow
@has_debian_package
def test_the_real_fashion_mnist_of_debian(load) -> None:
    data = load(kind="fashion_mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (48_000, 12_000, 10_000)
    assert torch.bincount(data.train.y).tolist() == [4800] * 10
    assert torch.bincount(data.val.y).tolist() == [1200] * 10
    # Published for the 60,000 training images: mean 0.2860, deviation 0.3530 of 255.
    assert data.mean.item() / 255 == pytest.approx(0.2860, abs=5e-4)
    assert data.std.item() / 255 == pytest.approx(0.3530, abs=5e-4)


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("subfolder", [True, False])
def test_the_users_folder_comes_first(
    load, write_idx, tmp_path, monkeypatch, openml, kind: str, subfolder: bool
) -> None:
    calls = openml(unplugged)
    write_idx(tmp_path / "sets" / kind if subfolder else tmp_path / "sets")
    monkeypatch.setenv("KDSEARCH_DATA", str(tmp_path / "sets"))
    data = load(kind=kind)
    assert data.name == kind
    assert data.input_shape == (1, 5, 4)
    assert calls == []


def test_a_half_filled_folder_is_an_error(load, write_idx, tmp_path, monkeypatch) -> None:
    (write_idx(tmp_path / "mnist") / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setenv("KDSEARCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match="lacks a file: one of t10k-images"):
        load(kind="mnist")


@pytest.mark.slow
@pytest.mark.usefixtures("no_system_folder")
@pytest.mark.parametrize(
    ("kind", "name"), [("mnist", "mnist_784"), ("fashion_mnist", "Fashion-MNIST")]
)
def test_fetched_once_then_cached(load, openml, tmp_path, kind: str, name: str) -> None:
    calls = openml(full_bunch)
    first = load(kind=kind)
    second = load(kind=kind)
    folder = tmp_path / "cache" / "datasets"
    assert calls == [
        {
            "name": name,
            "version": 1,
            "parser": "auto",
            "as_frame": False,
            "data_home": str(folder),
        }
    ]
    assert (folder / f"{kind}.npz").is_file()
    assert first.fingerprint == second.fingerprint
    assert first.input_shape == (1, 28, 28)
    assert (len(first.train), len(first.val)) == (48_000, 12_000)
    test = first.test.open(by="test")
    assert len(test) == 10_000
    assert bool((test.x[:, 0, 0, 1] == 1).all())
    assert not bool(first.train.x[:, 0, 0, 1].any())
    assert torch.equal(first.train.x[:, 0, 0, 0], (first.train.ids % 251).float())
    assert torch.equal(first.train.y, first.train.ids % 10)


@pytest.mark.usefixtures("no_system_folder")
@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_without_network_the_ways_to_supply_it_are_named(load, openml, tmp_path, kind) -> None:
    openml(unplugged)
    with pytest.raises(DataError) as caught:
        load(kind=kind)
    message = str(caught.value)
    for part in (
        "Name or service not known",
        f"folder {kind}",
        "$KDSEARCH_DATA",
        "data.kind to",
        "data.root",
        "network connection",
    ):
        assert part in message
    assert not list(tmp_path.rglob("*.npz"))


def test_an_unexpected_answer_is_not_cached(load, openml, tmp_path: Path) -> None:
    openml(lambda: Bunch(data=np.zeros((10, 784)), target=np.zeros(10, dtype=str)))
    with pytest.raises(DataError, match=r"OpenML sent samples of shape \(10, 784\)"):
        load(kind="mnist")
    assert not list(tmp_path.rglob("*.npz"))
