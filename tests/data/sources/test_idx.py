import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from kdsearch.data.sources.idx import load_idx
from kdsearch.errors import DataError

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("mark", ["-", "."])
def test_both_spellings_packed_or_not(tmp_path, write_idx, arrays, gzipped, mark) -> None:
    raw = load_idx(write_idx(tmp_path, gzipped=gzipped, mark=mark), name="mine")
    assert np.array_equal(raw.x[:, 0], arrays["x"])
    assert raw.x.shape == (60, 1, 5, 4)
    assert np.array_equal(raw.y, arrays["y"])
    assert raw.x_test is not None
    assert raw.y_test is not None
    assert np.array_equal(raw.x_test[:, 0], arrays["x_test"])
    assert np.array_equal(raw.y_test, arrays["y_test"])


def test_a_packed_file_without_its_ending_is_recognised(tmp_path, write_idx, arrays) -> None:
    path = write_idx(tmp_path) / TRAIN_LABELS
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert np.array_equal(load_idx(tmp_path, name="mine").y, arrays["y"])


def test_no_folder(load, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere: four MNIST-format files"):
        load(kind="idx", root=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", [TRAIN_IMAGES, "t10k-labels-idx1-ubyte"])
def test_a_missing_file_is_named(load, tmp_path, write_idx, name: str) -> None:
    (write_idx(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"lacks a file: one of {name}, .*{name}.gz"):
        load(kind="idx", root=str(tmp_path))


def pack_images(*shape: int, magic: int = 2051, content: int | None = None) -> bytes:
    size = int(np.prod(shape)) if content is None else content
    return struct.pack(">4I", magic, *shape) + bytes(size)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated: it has 0 bytes"),
        (b"\0\0\x08\x03\0\0", "is truncated: it has 6 bytes, its header alone takes 16"),
        (pack_images(60, 5, 4, magic=2049), "magic number 2049, 2051 is expected"),
        (b"<html>not found</html>", "magic number .*2051 is expected"),
        (pack_images(60, 5, 4, content=1199), "is truncated: its header promises 1216 bytes"),
        (pack_images(60, 5, 4, content=1201), "has bytes left over"),
        (pack_images(59, 5, 4), "the train files hold 59 images and 60 labels"),
        (pack_images(60, 5, 3), r"x_test have shape \(1, 5, 4\), those of x have \(1, 5, 3\)"),
        (gzip.compress(pack_images(60, 5, 4), mtime=0)[:-12], "is damaged or cannot be read"),
        (gzip.compress(pack_images(60, 5, 4), mtime=0)[:9], "is damaged or cannot be read"),
        (b"\x1f\x8b\x08" + bytes(range(80)), "is damaged or cannot be read"),
    ],
)
def test_malformed_images(load, tmp_path, write_idx, content: bytes, message: str) -> None:
    (write_idx(tmp_path) / TRAIN_IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(kind="idx", root=str(tmp_path))
