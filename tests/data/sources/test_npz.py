from pathlib import Path

import numpy as np
import pytest
import torch

from kdsearch.errors import DataError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.npz"


def test_flat_samples_stay_flat(load, path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 7))
    np.savez(path, x=x, y=np.arange(40) % 2, note=np.array("ignored"))
    data = load(kind="npz", path=str(path))
    assert data.input_shape == (7,)
    assert data.mean.shape == ()
    assert data.name == str(path)
    assert torch.equal(data.train.x, torch.from_numpy(x[data.train.ids].astype(np.float32)))


def test_channels_are_normalised_one_by_one(load, path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 4, 4)) * [[[[1]], [[10]], [[100]]]]
    np.savez(path, x=x, y=np.arange(40) % 2)
    data = load(kind="npz", path=str(path))
    assert data.std.shape == (3, 1, 1)
    exact = x[data.train.ids].astype(np.float32).std(axis=(0, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(data.std.flatten(), exact, rtol=1e-6)


@pytest.mark.parametrize("split", ["val", "test"])
def test_poison_outside_the_training_split_moves_nothing(load, arrays, path, split) -> None:
    x, y = arrays["x"].astype(np.float32), arrays["y"]
    np.savez(path, x=x, y=y)
    clean = load(kind="npz", path=str(path))
    poisoned = clean.val if split == "val" else clean.test.open(by="the test")
    x[poisoned.ids] = 1e6
    np.savez(path, x=x, y=y)
    dirty = load(kind="npz", path=str(path))
    assert torch.equal(dirty.train.x, clean.train.x)
    assert torch.equal(dirty.mean, clean.mean)
    assert torch.equal(dirty.std, clean.std)
    assert dirty.fingerprint != clean.fingerprint


@pytest.mark.parametrize("name", ["x", "y", "x_test", "y_test"])
def test_one_changed_value_changes_the_fingerprint(load, arrays, path, name: str) -> None:
    np.savez(path, **arrays)
    before = load(kind="npz", path=str(path)).fingerprint
    assert load(kind="npz", path=str(path)).fingerprint == before
    values = arrays[name].reshape(-1)
    values[0] = (int(values[0]) + 1) % 3  # a label that occurs
    np.savez(path, **arrays)
    assert load(kind="npz", path=str(path)).fingerprint != before


def test_no_file(load, path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*mine\.npz"):
        load(kind="npz", path=str(path))


def test_a_folder_is_no_file(load, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder: a NumPy archive"):
        load(kind="npz", path=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"x,y\n1,0\n", b"\x80\x04K\x01."])
def test_other_files_are_refused(load, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz is not a NumPy archive"):
        load(kind="npz", path=str(path))


def test_a_single_array_is_no_archive(load, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((3, 3)))
    with pytest.raises(DataError, match="is not a NumPy archive"):
        load(kind="npz", path=str(path))


def test_a_damaged_archive(load, path: Path, arrays) -> None:
    np.savez_compressed(path, **arrays)
    content = bytearray(path.read_bytes())
    content[100:400] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"mine\.npz.*(damaged|cannot be read)"):
        load(kind="npz", path=str(path))


@pytest.mark.parametrize(("kept", "missing"), [("x", "y"), ("y", "x")])
def test_a_missing_array_is_named(load, arrays, path, kept: str, missing: str) -> None:
    np.savez(path, **{kept: arrays[kept]})
    with pytest.raises(DataError, match=rf"lacks array '{missing}' \(it holds {kept}\)"):
        load(kind="npz", path=str(path))


def test_half_a_test_set(load, arrays, path: Path) -> None:
    del arrays["y_test"]
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"mine\.npz: x_test is given without y_test"):
        load(kind="npz", path=str(path))


class _Bomb:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a file was unpickled",)


def test_python_objects_are_never_unpickled(load, path: Path) -> None:
    np.savez(path, x=np.array([[_Bomb()]], dtype=object), y=np.array([0]))
    with pytest.raises(DataError, match=r"array 'x' cannot be read .*Python objects are not"):
        load(kind="npz", path=str(path))


def test_a_class_too_small_to_split(load, path: Path) -> None:
    y = np.array([0] * 30 + [1] * 30 + [2])
    np.savez(path, x=np.ones((61, 2)), y=y)
    with pytest.raises(DataError, match=r"class 2 has 1 sample and none of them falls into"):
        load(kind="npz", path=str(path))
