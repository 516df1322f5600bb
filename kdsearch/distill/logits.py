"""Teacher logits, computed once and looked up by sample id. Shapes: N samples, C classes.

A cache file is named by what it was computed from (teacher weights and samples), so it cannot
be stale; it also carries the ids it belongs to, so a shuffled or shortened data set is refused.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdsearch.data import Split
from kdsearch.distill.fingerprint import state_hash
from kdsearch.errors import StaleCacheError
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

    def get(self, teacher: nn.Module, split: Split) -> CachedLogits:
        """The teacher's logits on `split`, computed if they are not cached.

        Args:
            teacher: Maps raw samples [B, ...] to logits; run in eval mode, left unchanged.
            split: Raw samples and their ids.
        """
        path = self._folder / f"{logits_key(teacher, split)}.safetensors"
        cached = _load(path, split)
        if cached is not None:
            return cached
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            return _load(path, split) or _compute(path, teacher, split)


def logits_key(teacher: nn.Module, split: Split) -> str:
    """Content address: the teacher's architecture and weights, and the samples it saw."""
    digest = hashlib.sha256(state_hash(teacher).encode())
    digest.update(repr(teacher).encode())
    for tensor in (split.ids, split.x):
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:40]


def _compute(path: Path, teacher: nn.Module, split: Split) -> CachedLogits:
    order = split.ids.argsort()
    before = state_hash(teacher)
    logits = predict_logits(teacher, split.x)[order].float().contiguous()
    assert state_hash(teacher) == before, "a teacher changed while it was only asked"
    cached = CachedLogits(ids=split.ids[order].contiguous(), logits=logits)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    save_file(cached._asdict(), temporary)
    Path(temporary).replace(path)
    return cached


def _load(path: Path, split: Split) -> CachedLogits | None:
    if not path.exists():
        return None
    try:
        cached = CachedLogits(**load_file(path))
    except (SafetensorError, TypeError) as error:
        raise StaleCacheError(f"{path} is damaged ({error}); delete it") from error
    if not torch.equal(cached.ids, split.ids.sort().values):
        raise StaleCacheError(f"{path} belongs to other samples than its name says; delete it")
    if cached.logits.shape[0] != len(cached.ids) or not cached.logits.isfinite().all():
        raise StaleCacheError(f"{path} holds no complete, finite logits; delete it")
    return cached
