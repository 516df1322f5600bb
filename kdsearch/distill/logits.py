"""Teacher logits, computed once and looked up by sample id. Shapes: N samples, C classes.

A cache file is named by what it was computed from (teacher and samples), so it cannot be stale;
it carries the ids it belongs to, its name and a hash of its content, so a file of other samples
or a changed one is refused. A refused file is computed again in its place.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kdsearch.cache import Mapped, mapped_tensors
from kdsearch.cache.mapped import load_mapped
from kdsearch.data import Samples
from kdsearch.distill.fingerprint import state_hash
from kdsearch.errors import DivergedError, StaleCacheError
from kdsearch.models import predict_logits

LOGITS_VERSION = 1
"""Part of every file's name. Raise it with a change after which the same teacher gives other
logits, be it by rounding."""

LOGITS_BATCH = 256
"""Samples that a teacher is asked about at once: a wide convolutional one holds 50 MB a layer."""


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

    def get(self, teacher: nn.Module, samples: Samples, *, teacher_key: str = "") -> CachedLogits:
        """The teacher's logits on `samples`, computed if they are not cached, or not as written.

        Args:
            teacher: Maps raw samples [B, ...] to logits; run in eval mode, left unchanged.
            samples: Raw samples and their ids.
            teacher_key: Tells teachers apart whose weights and modules are equal but which
                compute different things, as a user's own may.

        Raises:
            DivergedError: The teacher gives NaN or infinite logits.
            UserInputError: The cache folder cannot be written.
        """
        path = self._path(teacher_address(teacher, teacher_key), samples)
        return CachedLogits(**mapped_tensors(path, lambda: _compute(teacher, samples)).tensors)

    def find(self, address: str, samples: Samples) -> CachedLogits | None:
        """The logits of the teacher of this `teacher_address`, None where they are not cached."""
        found = load_mapped(self._path(address, samples))
        return None if found is None else CachedLogits(**found.tensors)

    def _path(self, address: str, samples: Samples) -> Path:
        digest = hashlib.sha256(f"{LOGITS_VERSION} {address} {samples.digest}".encode())
        return self._folder / f"{digest.hexdigest()[:40]}.safetensors"


def teacher_address(teacher: nn.Module, teacher_key: str = "") -> str:
    """Content address: the teacher's architecture and weights, and what else tells it apart."""
    identity = f"{state_hash(teacher)};{teacher_key};{teacher!r}"
    return hashlib.sha256(identity.encode()).hexdigest()


def _compute(teacher: nn.Module, samples: Samples) -> Mapped:
    order = samples.ids.argsort()
    before = state_hash(teacher)
    logits = (
        predict_logits(teacher, samples.x, batch_size=LOGITS_BATCH)[order].float().contiguous()
    )
    assert state_hash(teacher) == before, "a teacher changed while it was only asked"
    if not logits.isfinite().all():
        raise DivergedError("a teacher gives NaN or infinite logits; it cannot teach")
    return Mapped({"ids": samples.ids[order].contiguous(), "logits": logits}, {})
