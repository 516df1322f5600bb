"""MNIST-format (IDX) files: a big-endian header, then unsigned bytes; gzipped or not."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from kdsearch.data.sources.raw import RawData
from kdsearch.errors import DataError

_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049
_AXES = {_IMAGES_MAGIC: 3, _LABELS_MAGIC: 1}
_KIND = {_IMAGES_MAGIC: "images", _LABELS_MAGIC: "labels"}
_GZIP_MAGIC = b"\x1f\x8b"


def load_idx(root: Path, *, name: str) -> RawData:
    """The four files in `root` as samples [1, H, W], bytes 0..255, with their own test set.

    Names are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, or with a dot before `idx`, each with or without `.gz`.

    Raises:
        DataError: a file is missing, truncated or of another format, or counts differ.
    """
    if not root.is_dir():
        raise DataError(
            f"There is no folder {root}: four MNIST-format files are expected in it, "
            "train-images-idx3-ubyte and so on, gzipped or not."
        )
    x, y = _read_part(root, "train")
    x_test, y_test = _read_part(root, "t10k")
    return RawData(name=name, x=x, y=y, x_test=x_test, y_test=y_test)


def idx_files(root: Path) -> list[Path]:
    """Those of the four files that lie in `root`, or none if one is missing."""
    found = [_find(root, part, magic) for part in ("train", "t10k") for magic in _AXES]
    return [path for path in found if path is not None] if None not in found else []


def holds_idx(root: Path) -> bool:
    """Whether any of the four files lies in `root`."""
    return any(
        _find(root, part, magic) is not None for part in ("train", "t10k") for magic in _AXES
    )


def _read_part(root: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = _read_file(_existing(root, part, _IMAGES_MAGIC), _IMAGES_MAGIC)
    labels = _read_file(_existing(root, part, _LABELS_MAGIC), _LABELS_MAGIC)
    if len(images) != len(labels):
        raise DataError(
            f"{root}: the {part} files hold {len(images)} images and {len(labels)} labels; "
            "both must hold the same number."
        )
    return images[:, None], labels


def _names(part: str, magic: int) -> list[str]:
    stem, ending = f"{part}-{_KIND[magic]}", f"idx{_AXES[magic]}-ubyte"
    return [f"{stem}{mark}{ending}{packing}" for packing in ("", ".gz") for mark in ("-", ".")]


def _find(root: Path, part: str, magic: int) -> Path | None:
    paths = (root / name for name in _names(part, magic))
    return next((path for path in paths if path.is_file()), None)


def _existing(root: Path, part: str, magic: int) -> Path:
    path = _find(root, part, magic)
    if path is None:
        raise DataError(f"{root} lacks a file: one of {', '.join(_names(part, magic))} is needed.")
    return path


def _read_file(path: Path, magic: int) -> np.ndarray:
    content = _read_bytes(path)
    axes = _AXES[magic]
    header_size = 4 + 4 * axes
    if len(content) < header_size:
        raise DataError(
            f"{path} is truncated: it has {len(content)} bytes, its header alone takes "
            f"{header_size}."
        )
    found, *shape = struct.unpack_from(f">{1 + axes}I", content)
    if found != magic:
        raise DataError(
            f"{path} is no file of MNIST-format {_KIND[magic]}: it starts with magic number "
            f"{found}, {magic} is expected."
        )
    expected = header_size + math.prod(shape)
    if len(content) != expected:
        fault = "is truncated" if len(content) < expected else "has bytes left over"
        raise DataError(
            f"{path} {fault}: its header promises {expected} bytes, it has {len(content)}."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_size).reshape(shape)


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cannot be read ({error}).") from error
