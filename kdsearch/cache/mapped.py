"""Tensors in files that processes share: made by whoever comes first, then mapped by all.

A file is mapped copy-on-write: the processes of a machine read the same pages of memory, and
writing into such a tensor by mistake would change neither the file nor what others see. A file
carries its name and a hash of its content; one that does not hold what it promises is made again.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kdsearch.cache.fingerprint import tensors_hash
from kdsearch.cache.folder import make_folder, whole_file

ALWAYS_HASHED_BYTES = 2**24
"""A larger file that was once found whole is believed as long as its size and time of change stay
what they were: hashing 200 MB takes a quarter of a second in every process."""
SETTLED_SECONDS = 2.0
"""A change this soon after the check could have the same time stamp."""

_NOTES = "kdsearch"
# What reading a file raises that is missing, cut, or not what it should be.
_DAMAGE = (OSError, SafetensorError, LookupError, TypeError, ValueError, RuntimeError)


class Mapped(NamedTuple):
    """What one file holds."""

    tensors: dict[str, Tensor]
    notes: dict[str, str]


def mapped_tensors(
    path: Path, make: Callable[[], Mapped], *, max_folder_bytes: int | None = None
) -> Mapped:
    """What the file at `path` holds, made and written there first if it is not there or damaged.

    Args:
        path: Named by what the content follows from; ends in `.safetensors`.
        make: Called while a lock is held.
        max_folder_bytes: When a file is written, those of its folder that were used longest ago
            are deleted until the rest fits; who has mapped one keeps it. None keeps all.

    Raises:
        UserInputError: The cache folder cannot be written.
    """
    found = load_mapped(path)
    if found is not None:
        return found
    make_folder(path.parent)
    with FileLock(f"{path}.lock"):
        found = load_mapped(path)
        if found is None:
            _write(path, make())
            if max_folder_bytes is not None:
                _delete_unused(path, max_folder_bytes)
            found = load_mapped(path)
            assert found is not None, f"{path} was just written and cannot be read"
    return found


def load_mapped(path: Path) -> Mapped | None:
    """What the file holds; None if it is not there or not as it was written."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            written = json.loads((file.metadata() or {})[_NOTES])
        notes = {str(name): str(note) for name, note in written["notes"].items()}
        is_whole = _was_whole(path) or written["sha256"] == _hash(path, Mapped(tensors, notes))
    except _DAMAGE:
        return None
    if not is_whole:
        return None
    _remember_whole(path)
    return Mapped(tensors, notes)


def _write(path: Path, content: Mapped) -> None:
    written = {"sha256": _hash(path, content), "notes": content.notes}
    with whole_file(path) as unfinished:
        # one entry, because safetensors writes several in any order
        save_file(content.tensors, unfinished, {_NOTES: json.dumps(written, sort_keys=True)})


def _hash(path: Path, content: Mapped) -> str:
    promise = [path.stem, tensors_hash(content.tensors), content.notes]
    return hashlib.sha256(json.dumps(promise, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> Path:
    return path.with_suffix(".whole")


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def _was_whole(path: Path) -> bool:
    """Whether a large file has not changed since it was last found whole."""
    stamp = _stamp(path)
    if path.stat().st_size <= ALWAYS_HASHED_BYTES or not stamp.exists():
        return False
    is_settled = stamp.stat().st_mtime - path.stat().st_mtime > SETTLED_SECONDS
    return is_settled and stamp.read_text() == _state(path)


def _remember_whole(path: Path) -> None:
    """Note the state of a large file; the note's own time says when the file was last used."""
    with suppress(OSError):  # a cache that may only be read, or a file deleted this moment
        if path.stat().st_size > ALWAYS_HASHED_BYTES:
            _stamp(path).write_text(_state(path))


def _delete_unused(newest: Path, max_bytes: int) -> None:
    total = newest.stat().st_size
    others = [path for path in newest.parent.glob("*.safetensors") if path != newest]
    for path in sorted(others, key=_last_used, reverse=True):
        with suppress(OSError):  # another process deletes, too
            total += path.stat().st_size
            if total > max_bytes:
                path.unlink()
                _stamp(path).unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    times = [0.0]
    for file in (path, _stamp(path)):
        with suppress(OSError):
            times.append(file.stat().st_mtime)
    return max(times)
