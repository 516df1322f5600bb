"""What the training loop reads: tensors that stay on the device. N samples, C classes."""

from typing import NamedTuple

import torch
from torch import Tensor

from kdsearch.config.seed import derive_seed
from kdsearch.errors import UserInputError
from kdsearch.training.views import EpochViews


class TrainingData(NamedTuple):
    """One data set as a student sees it, inputs already normalised."""

    train_x: Tensor
    """[N, *input_shape]; without augmentation, which `at_epoch` adds."""
    train_y: Tensor
    """[N]."""
    val_x: Tensor
    """[M, *input_shape]."""
    val_y: Tensor
    """[M]."""
    teacher_train: Tensor | None
    """Logits [K, N, C] of all members of the bank on `train_x`; None where nobody teaches, or
    where each epoch has views of its own."""
    teacher_val: Tensor | None
    """Logits [M, C] of the full ensemble, which agreement is measured against."""
    views: EpochViews | None = None
    """What is trained on in place of `train_x`; None without augmentation."""

    def at_epoch(self, epoch: int) -> "TrainingData":
        """What students see in `epoch` (1, 2, ...); the same object while it does not change.

        With augmentation `train_x` and `teacher_train` are those of the epoch's view. Only the
        last view that was asked for is kept.
        """
        return self if self.views is None else self.views.at_epoch(self, epoch)

    def to(self, device: torch.device) -> "TrainingData":
        """The same on `device`."""
        return TrainingData(
            train_x=self.train_x.to(device),
            train_y=self.train_y.to(device),
            val_x=self.val_x.to(device),
            val_y=self.val_y.to(device),
            teacher_train=None if self.teacher_train is None else self.teacher_train.to(device),
            teacher_val=None if self.teacher_val is None else self.teacher_val.to(device),
            views=None if self.views is None else self.views.to(device),
        )


def epoch_order(order_seed: int, epoch: int, num_samples: int) -> Tensor:
    """The order [N] in which epoch `epoch` (1, 2, ...) visits the samples.

    A function of its arguments alone, so a resumed run needs no random state to go on exactly.
    """
    generator = torch.Generator().manual_seed(derive_seed("order", order_seed, epoch))
    return torch.randperm(num_samples, generator=generator)


def select_device(wanted: str, *, field: str = "training.device") -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means on this machine.

    Args:
        wanted: What the study file says.
        field: Where it says so, for the message.

    Raises:
        UserInputError: CUDA is asked for and not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserInputError(f"{field} is cuda, but torch sees no CUDA device; use auto or cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)
