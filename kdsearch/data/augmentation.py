"""Augmented views of the training samples, the same in every process. N samples, C channels.

What view v does to a sample follows from the data's seed, v and the sample's id alone: not from
its place in a batch, from how many others there are, or from what was drawn before. So a teacher
and its students see the same samples, and logits cached for a view belong to them.
"""

import hashlib
import inspect
import json
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kdsearch.config import AugmentConfig
from kdsearch.config.seed import derive_seed
from kdsearch.data.split import Split, samples_digest
from kdsearch.errors import DataError
from kdsearch.user_code import UserCode, import_target

VIEWS_VERSION = 1
"""Part of every view's address. Raise it with a change after which the same section gives other
samples."""

TRIED_SAMPLES = 64
"""How many samples the user's own transform is tried on before anything runs."""


class View:
    """One view of the training samples, made when its samples are asked for."""

    def __init__(self, augmentation: "Augmentation", number: int) -> None:
        self._augmentation = augmentation
        self._number = number
        self.ids = augmentation.train.ids
        """Of the training samples, [N]."""

    @cached_property
    def x(self) -> Tensor:
        """Raw values, float32 [N, *input_shape]."""
        return self._augmentation.apply(self._augmentation.train.x, self._number)

    @property
    def digest(self) -> str:
        """Content address of `x` and `ids`."""
        known = self._augmentation.digests
        if self._number not in known:
            identity = self._augmentation.identity(self._number)
            known[self._number] = identity or samples_digest(self.x, self.ids)
        return known[self._number]


class Augmentation:
    """The views of one training set."""

    def __init__(
        self,
        config: AugmentConfig,
        *,
        seed: int,
        train: Split,
        whole: Split,
        key: str = "data.augment",
    ) -> None:
        """Check that the views can be made; none is made yet.

        Args:
            config: The section.
            seed: The data section's.
            train: The training samples.
            whole: The training samples at `train_fraction` 1, which the user's own transform is
                given, so that a view of a sample does not depend on the fraction.
            key: Where the section is in the study file, for messages.

        Raises:
            DataError: The samples have no place to be moved to, or the user's own transform is
                not the same for the same view.
        """
        self.config = config
        self.train = train
        self._seed = seed
        self._whole = whole
        self._key = key
        self.digests: dict[int, str] = {}
        """Of the views so far, by number: the user's own are made to know them."""
        self._check_axes()
        if config.transform is not None:
            self._check_transform(config.transform)

    @property
    def num_views(self) -> int:
        """How many views there are."""
        return self.config.views

    def view_of_epoch(self, epoch: int) -> int:
        """The number, from 0, of the view that epoch 1, 2, ... sees."""
        return (epoch - 1) % self.num_views

    def view(self, number: int) -> View:
        """View `number`, from 0, of the training samples."""
        return View(self, number)

    def identity(self, number: int) -> str | None:
        """Content address of a view that need not be made for it; None for the user's own."""
        if self.config.transform is not None:
            return None
        moves = self.config.model_dump(mode="json", exclude={"views"})
        address = [VIEWS_VERSION, self.train.digest, moves, self._seed, number]
        return hashlib.sha256(json.dumps(address, sort_keys=True).encode()).hexdigest()

    @cached_property
    def training_identity(self) -> str:
        """What training on the views comes from: the section, or the user's own first view."""
        identity = self.identity(0) or self.view(0).digest
        return f"{identity} {self.num_views}"

    def apply(self, x: Tensor, number: int) -> Tensor:
        """The samples of a view, in a tensor of its own.

        Args:
            x: The training samples, raw, on the device where the view is made [N, *input_shape].
            number: Of the view.

        Raises:
            DataError: The user's own transform fails.
        """
        if self.config.transform is not None:
            rows = torch.searchsorted(self._whole.ids, self.train.ids)
            x = self._transformed(self._whole.x, number)[rows].to(x.device)
        if not (self.config.shift or self.config.flip):
            return x
        draws = draw(self._view_seed(number), self.train.ids.numpy(), x.dim() - 1)
        return shift_and_flip(x, draws, shift=self.config.shift, flip=self.config.flip)

    def _view_seed(self, number: int) -> int:
        return derive_seed("augment", self._seed, number)

    def _check_axes(self) -> None:
        shape = tuple(self.train.x.shape[1:])
        if not (self.config.shift or self.config.flip):
            return
        if len(shape) < 2:
            raise DataError(
                f"{self._key}: samples of shape {list(shape)} are flat: shift and flip need "
                "spatial axes, so give x as [samples, channels, length] or "
                f"[samples, channels, height, width], or take {self._key} out"
            )
        if self.config.shift >= min(shape[1:]):
            raise DataError(
                f"{self._key}.shift: {self.config.shift} moves whole samples of shape "
                f"{list(shape)} out of sight; allowed is at most {min(shape[1:]) - 1}"
            )

    def _check_transform(self, target: str) -> None:
        transform = import_target(target, error_type=DataError)
        try:
            inspect.signature(transform).bind(self._whole.x, generator=torch.Generator())
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self._key}.transform: '{target}' cannot be called as f(x, generator=...) "
                f"({error}); without a view's generator, what it draws has no view identity, and "
                "the teachers' cached logits would belong to other samples"
            ) from error
        some = self._whole.x[:TRIED_SAMPLES]
        if not torch.equal(self._transformed(some, 0), self._transformed(some, 0)):
            raise DataError(
                f"{self._key}.transform: '{target}' gave other samples when it was called again "
                "for the same view; draw with the generator it is given, else the teachers' "
                "cached logits would belong to other samples"
            )

    def _transformed(self, x: Tensor, number: int) -> Tensor:
        target = self.config.transform
        assert target is not None
        transform = import_target(target, error_type=DataError)
        generator = torch.Generator().manual_seed(self._view_seed(number))
        with UserCode(f"Calling '{target}'", DataError):
            made = transform(x.clone(), generator=generator)
        if not isinstance(made, Tensor) or made.shape != x.shape or not made.isfinite().all():
            found = f"shape {list(made.shape)}" if isinstance(made, Tensor) else type(made)
            raise DataError(
                f"{self._key}.transform: '{target}' returned {found}; a tensor of finite "
                f"numbers and of the shape it was given, {list(x.shape)}, is allowed"
            )
        return made.detach().to(x.dtype)


def draw(seed: int, ids: np.ndarray, count: int) -> np.ndarray:
    """Random numbers for samples, each a function of seed and id alone (SplitMix64, Steele 2014).

    Args:
        seed: 0 or more.
        ids: Of the samples, int64 [N], each 0 or more.
        count: Numbers for each sample.

    Returns:
        uint64 [N, count], uniform over all values.
    """
    counters = ids.astype(np.uint64)[:, None] * np.uint64(count) + np.arange(count, dtype="u8")
    bits = np.full(1, seed, dtype="u8") + (counters + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def shift_and_flip(x: Tensor, draws: np.ndarray, *, shift: int, flip: bool) -> Tensor:
    """Each sample mirrored or not along its last axis, then moved, with zeros at the edge.

    Args:
        x: [N, C, *spatial], on any device.
        draws: uint64 [N, number of spatial axes + 1].
        shift: Largest move in either direction of each spatial axis.
        flip: Whether to mirror, with probability 1/2.
    """
    spatial = x.shape[2:]

    def along(axis: int, values: Tensor) -> Tensor:
        shape = [1] * x.dim()
        shape[axis] = -1
        return values.to(x.device).view(shape)

    def of_samples(numbers: np.ndarray) -> Tensor:
        return along(0, torch.from_numpy(numbers.astype(np.int64)))

    index = [along(axis, torch.arange(x.shape[axis])) for axis in (0, 1)]
    outside = torch.zeros([1] * x.dim(), dtype=torch.bool, device=x.device)
    for axis, size in enumerate(spatial):
        moved = of_samples(draws[:, axis] % np.uint64(2 * shift + 1)) - shift
        source = along(axis + 2, torch.arange(size)) - moved
        outside = outside | (source < 0) | (source >= size)
        if flip and axis == len(spatial) - 1:
            is_mirrored = of_samples(draws[:, -1] >> np.uint64(63)).bool()
            source = torch.where(is_mirrored, size - 1 - source, source)
        index.append(source.clamp(0, size - 1))
    return x[tuple(index)].masked_fill_(outside, 0.0)
