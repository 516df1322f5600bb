"""The cache folder, and what is made once and kept there."""

from kdsearch.cache.fingerprint import tensors_hash
from kdsearch.cache.folder import cache_folder, prepare_cache
from kdsearch.cache.mapped import Mapped, mapped_tensors
from kdsearch.cache.prepared import prepared_tensors

__all__ = [
    "Mapped",
    "cache_folder",
    "mapped_tensors",
    "prepare_cache",
    "prepared_tensors",
    "tensors_hash",
]
