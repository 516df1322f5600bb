"""Teacher logits, computed once and looked up by sample id. Shapes: N samples, C classes.

A cache file is named by what it was computed from (teacher and samples), so it cannot be stale;
it carries the ids it belongs to, so a shuffled or shortened data set is refused, and a hash of
its content, so a changed file is too. A refused file is computed again in its place.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kdsearch.data import Split
from kdsearch.distill.fingerprint import state_hash, tensors_hash
from kdsearch.errors import DivergedError, StaleCacheError
from kdsearch.models import predict_logits


class CachedLogits(NamedTuple):
    """One teacher's logits on one split."""

    ids: Tensor
    """Sample ids [N], ascending."""
    logits: Tensor
    """[N, C], row i belongs to ids[i]."""

    def lookup(self, ids: Tensor) -> Tensor:
        """Logits [len(ids), C] of the samples `ids`, in their order.

        Raises:
            StaleCacheError: An id is not in the cache.
        """
        positions = torch.searchsorted(self.ids, ids).clamp(max=len(self.ids) - 1)
        missing = self.ids[positions] != ids
        if missing.any():
            raise StaleCacheError(
                f"{int(missing.sum())} of {len(ids)} samples have no cached teacher logits "
                f"(first id {int(ids[missing][0])}); delete the logits cache"
            )
        return self.logits[positions]


class LogitsCache:
    """Logits files below one folder, each written once, under a lock, by renaming."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, teacher: nn.Module, split: Split, *, teacher_key: str = "") -> CachedLogits:
        """The teacher's logits on `split`, computed if they are not cached, or not as written.

        Args:
            teacher: Maps raw samples [B, ...] to logits; run in eval mode, left unchanged.
            split: Raw samples and their ids.
            teacher_key: Tells teachers apart whose weights and modules are equal but which
                compute different things, as a user's own may.

        Raises:
            DivergedError: The teacher gives NaN or infinite logits.
        """
        path = self._folder / f"{logits_key(teacher, split, teacher_key)}.safetensors"
        cached = _load(path, split)
        if cached is not None:
            return cached
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            return _load(path, split) or _compute(path, teacher, split)


def logits_key(teacher: nn.Module, split: Split, teacher_key: str = "") -> str:
    """Content address: the teacher's architecture and weights, and the samples it saw."""
    digest = hashlib.sha256(state_hash(teacher).encode())
    digest.update(f"{teacher_key};{teacher!r}".encode())
    for tensor in (split.ids, split.x):
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:40]


def _compute(path: Path, teacher: nn.Module, split: Split) -> CachedLogits:
    order = split.ids.argsort()
    before = state_hash(teacher)
    logits = predict_logits(teacher, split.x)[order].float().contiguous()
    assert state_hash(teacher) == before, "a teacher changed while it was only asked"
    if not logits.isfinite().all():
        raise DivergedError("a teacher gives NaN or infinite logits; it cannot teach")
    cached = CachedLogits(ids=split.ids[order].contiguous(), logits=logits)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    tensors = cached._asdict()
    save_file(tensors, temporary, metadata={"sha256": tensors_hash(tensors)})
    Path(temporary).replace(path)
    return cached


def _load(path: Path, split: Split) -> CachedLogits | None:
    """What the file holds; None if there is none, or it does not hold what its name promises."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            promised = (file.metadata() or {}).get("sha256")
        cached = CachedLogits(**tensors)
    except (SafetensorError, TypeError):
        return None
    is_whole = promised == tensors_hash(tensors)
    return cached if is_whole and torch.equal(cached.ids, split.ids.sort().values) else None
