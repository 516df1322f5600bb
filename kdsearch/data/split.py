"""What a data set is split into: open splits, and the sealed test set."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


class Samples(Protocol):
    """Samples that a teacher is asked about. N is their number."""

    @property
    def x(self) -> Tensor:
        """Raw values, float32 or int64 [N, *input_shape]."""
        ...

    @property
    def ids(self) -> Tensor:
        """Who they are: unique, int64 [N]."""
        ...

    @property
    def digest(self) -> str:
        """Content address of `x` and `ids`."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Samples of one split, in the order of their ids. N is the number of samples."""

    x: Tensor
    """Raw values as loaded, not normalised: float32, or int64 for whole numbers
    [N, *input_shape]."""
    y: Tensor
    """Labels in 0..num_classes-1: int64 [N]."""
    ids: Tensor
    """StudentSpec numbers in the source's training arrays, unique: int64 [N].

    For the test split of a source that has its own test set: row numbers in the test arrays.
    """
    known_digest: str | None = None
    """`digest`, where it is known already."""

    @cached_property
    def digest(self) -> str:
        """Content address of `x` and `ids`."""
        return self.known_digest or samples_digest(self.x, self.ids)

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.y)

    def __repr__(self) -> str:
        """Sizes only: values would flood a log."""
        return f"Split({len(self)} samples of shape {tuple(self.x.shape[1:])})"


def samples_digest(x: Tensor, ids: Tensor) -> str:
    """SHA-256, in hex, of samples and who they are."""
    digest = hashlib.sha256()
    for tensor in (ids, x):
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


class SealedSplit:
    """The test set. It gives its samples only to who says who they are, and remembers it.

    Search must not see the test set; the confirm stage opens it once for each confirmed model.
    """

    __slots__ = ("__opened_by", "__split")

    def __init__(self, split: Split) -> None:
        self.__split = split
        self.__opened_by: tuple[str, ...] = ()

    def open(self, by: str) -> Split:
        """The test samples, for `by`, whose name is recorded.

        Raises:
            ValueError: `by` is empty.
        """
        if not by.strip():
            raise ValueError("The test set is opened by name: say who opens it.")
        self.__opened_by = (*self.__opened_by, by)
        return self.__split

    @property
    def opened_by(self) -> tuple[str, ...]:
        """Who opened the test set, in order; one entry for each opening."""
        return self.__opened_by

    def __len__(self) -> int:
        """The number of samples; asking does not open the test set."""
        return len(self.__split)

    def __repr__(self) -> str:
        """The size and who opened it, no values."""
        state = f"opened by {', '.join(self.opened_by)}" if self.opened_by else "sealed"
        return f"SealedSplit({len(self)} samples, {state})"
