"""Data sets as train, validation and sealed test tensors: one kind per file."""

from kdsearch.data.cache import cache_folder, prepare_cache
from kdsearch.data.dataset import Dataset, load_dataset
from kdsearch.data.imported import call_target, import_target
from kdsearch.data.split import SealedSplit, Split

__all__ = [
    "Dataset",
    "SealedSplit",
    "Split",
    "cache_folder",
    "call_target",
    "import_target",
    "load_dataset",
    "prepare_cache",
]
