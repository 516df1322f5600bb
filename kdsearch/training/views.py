"""The augmented training samples of an epoch, made when it begins."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kdsearch.data import Dataset

if TYPE_CHECKING:
    from kdsearch.training.data import TrainingData


class EpochViews:
    """One view at a time, normalised, on the device, with what the teachers say about it."""

    def __init__(
        self,
        dataset: Dataset,
        teach: Callable[[int], Tensor] | None,
        device: torch.device,
    ) -> None:
        """Nothing is made yet.

        Args:
            dataset: One with views.
            teach: All members' logits [K, N, C] on view 0, 1, ...; None where nobody teaches.
            device: Where the views are made.
        """
        assert dataset.augmentation is not None
        self._augmentation = dataset.augmentation
        self._dataset = dataset
        self._teach = teach
        self._device = device
        self._raw = dataset.train.x.to(device)
        self._mean, self._std = dataset.mean.to(device), dataset.std.to(device)
        self._number: int | None = None
        self._current: TrainingData | None = None

    def at_epoch(self, data: "TrainingData", epoch: int) -> "TrainingData":
        """`data` with the view of epoch 1, 2, ... in place of its training samples."""
        number = self._augmentation.view_of_epoch(epoch)
        if self._current is None or number != self._number:
            self._current = None  # before the next one takes as much memory
            x = self._augmentation.apply(self._raw, number)
            logits = None if self._teach is None else self._teach(number).to(self._device)
            if x.is_floating_point():
                x.sub_(self._mean).div_(self._std)
            self._current = data._replace(train_x=x, teacher_train=logits)
            self._number = number
        return self._current

    def to(self, device: torch.device) -> "EpochViews":
        """The same on `device`."""
        if device == self._device:
            return self
        return EpochViews(self._dataset, self._teach, device)
