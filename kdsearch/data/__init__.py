"""Data sets as train, validation and sealed test tensors: one kind per file."""

from kdsearch.data.augmentation import Augmentation, View
from kdsearch.data.cache import cache_folder, prepare_cache
from kdsearch.data.dataset import Dataset, load_dataset
from kdsearch.data.fingerprint import tensors_hash
from kdsearch.data.imported import call_target, import_target
from kdsearch.data.mapped import Mapped, mapped_tensors
from kdsearch.data.prepared import prepared_tensors
from kdsearch.data.split import Samples, SealedSplit, Split

__all__ = [
    "Augmentation",
    "Dataset",
    "Mapped",
    "Samples",
    "SealedSplit",
    "Split",
    "View",
    "cache_folder",
    "call_target",
    "import_target",
    "load_dataset",
    "mapped_tensors",
    "prepare_cache",
    "prepared_tensors",
    "tensors_hash",
]
