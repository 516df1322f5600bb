"""The arrays that a source gives, and what must be true of them before they are split."""

from dataclasses import dataclass

import numpy as np

from kdsearch.errors import DataError

_FLOAT32_LIMIT = float(np.finfo(np.float32).max)
_INT64_LIMIT = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class RawData:
    """Arrays as the source gives them, any real dtype. N and M are numbers of samples."""

    name: str
    """What error messages and `Dataset.name` call the source."""
    x: np.ndarray
    """Training samples, [N, *input_shape]; see `has_whole_numbers`."""
    y: np.ndarray
    """Training labels, integers [N]."""
    x_test: np.ndarray | None = None
    """Test samples, [M, *input_shape]; None where the source has no test set of its own."""
    y_test: np.ndarray | None = None
    """Test labels, integers [M]; given exactly when `x_test` is."""

    @property
    def num_classes(self) -> int:
        """One more than the largest training label."""
        return int(self.y.max()) + 1

    @property
    def has_whole_numbers(self) -> bool:
        """Whether samples are whole numbers, such as token ids, and stay what they are.

        Bytes and booleans are not: they are pixels, which are measured on a scale.
        """
        return _are_whole(self.x)

    def check(self) -> None:
        """Refuse what cannot be trained on.

        Raises:
            DataError: wrong shapes or dtypes, NaN or infinity, labels that are not 0..C-1, fewer
                than two classes, no samples, half a test set.
        """
        _check_samples(self.x, self.y, where=self.name, x_name="x", y_name="y")
        _check_classes(self.y, where=self.name)
        if self.x_test is None and self.y_test is None:
            return
        if self.x_test is None or self.y_test is None:
            given, missing = ("y_test", "x_test") if self.x_test is None else ("x_test", "y_test")
            raise DataError(
                f"{self.name}: {given} is given without {missing}; give both or neither."
            )
        _check_samples(self.x_test, self.y_test, where=self.name, x_name="x_test", y_name="y_test")
        if self.x_test.shape[1:] != self.x.shape[1:]:
            raise DataError(
                f"{self.name}: samples of x_test have shape {self.x_test.shape[1:]}, "
                f"those of x have {self.x.shape[1:]}; both must have the same shape."
            )
        if _are_whole(self.x_test) != _are_whole(self.x):
            raise DataError(
                f"{self.name}: x is {self.x.dtype} and x_test is {self.x_test.dtype}; both must "
                "hold real numbers or bytes, or both whole numbers."
            )
        largest = int(self.y_test.max())
        if largest >= self.num_classes:
            raise DataError(
                f"{self.name}: y_test holds label {largest}, which does not occur in y; "
                f"labels 0..{self.num_classes - 1} are allowed."
            )


def _are_whole(x: np.ndarray) -> bool:
    return x.dtype.kind == "i" or (x.dtype.kind == "u" and x.dtype.itemsize > 1)


def _check_samples(x: np.ndarray, y: np.ndarray, *, where: str, x_name: str, y_name: str) -> None:
    for name, array in ((x_name, x), (y_name, y)):
        if array.dtype.hasobject:
            raise DataError(
                f"{where}: {name} holds Python objects (or rows of unequal length); "
                "arrays of numbers are allowed."
            )
    if x.ndim < 2:
        raise DataError(
            f"{where}: {x_name} has shape {x.shape}; [samples, features] or more axes are allowed."
        )
    if y.ndim != 1:
        raise DataError(
            f"{where}: {y_name} has shape {y.shape}; one label for each sample, [samples], "
            "is allowed."
        )
    if len(x) != len(y):
        raise DataError(
            f"{where}: {x_name} has {len(x)} samples and {y_name} has {len(y)} labels; "
            "both must have the same length."
        )
    if x.size == 0:
        raise DataError(f"{where}: {x_name} is empty, its shape is {x.shape}.")
    _check_values(x, where=where, name=x_name)
    _check_labels(y, where=where, name=y_name)


def _check_values(x: np.ndarray, *, where: str, name: str) -> None:
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: {name} has dtype {x.dtype}; real numbers are allowed.")
    if x.dtype.kind == "u" and int(x.max()) > _INT64_LIMIT:
        raise DataError(f"{where}: {name} holds {int(x.max())}; allowed is up to {_INT64_LIMIT}.")
    if x.dtype.kind != "f":
        return
    # Minimum and maximum carry a NaN through, and need no second array of x's size.
    with np.errstate(invalid="ignore"):
        smallest, largest = float(x.min()), float(x.max())
    if not (smallest >= -_FLOAT32_LIMIT and largest <= _FLOAT32_LIMIT):
        bad = ~(np.abs(x) <= _FLOAT32_LIMIT)
        row = int(np.flatnonzero(bad.reshape(len(x), -1).any(axis=1))[0])
        raise DataError(
            f"{where}: {name} holds NaN, infinity or values beyond float32 (first in row {row}, "
            f"{int(bad.sum())} in all); finite numbers are allowed."
        )


def _check_labels(y: np.ndarray, *, where: str, name: str) -> None:
    if y.dtype.kind not in "iu":
        raise DataError(
            f"{where}: {name} has dtype {y.dtype}; integer labels 0..C-1 are allowed, "
            "so convert them first."
        )
    smallest = int(y.min())
    if smallest < 0:
        raise DataError(
            f"{where}: {name} holds label {smallest}; labels 0..C-1 for C classes are allowed."
        )


def _check_classes(y: np.ndarray, *, where: str) -> None:
    """Every label from 0 to the largest must occur; `y` holds integers from 0 up."""
    present = np.unique(y)
    if len(present) == 1:
        raise DataError(
            f"{where}: every label in y is {int(present[0])}; at least two classes are needed."
        )
    gaps = np.flatnonzero(present != np.arange(len(present)))
    if len(gaps) > 0:
        raise DataError(
            f"{where}: y holds label {int(present[-1])} but never label {int(gaps[0])}; labels "
            "must be 0..C-1 for C classes, and each must occur."
        )
