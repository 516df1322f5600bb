"""Data sets as train, validation and sealed test tensors: one kind per file."""

from kdsearch.data.augmentation import Augmentation, View
from kdsearch.data.dataset import Dataset, load_dataset
from kdsearch.data.split import Samples, SealedSplit, Split

__all__ = [
    "Augmentation",
    "Dataset",
    "Samples",
    "SealedSplit",
    "Split",
    "View",
    "load_dataset",
]
