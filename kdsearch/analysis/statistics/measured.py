"""Scores of students by size, accuracies mostly, checked and put in order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kdsearch.analysis.statistics.variance import shrunk_variances

Array = NDArray[np.float64]


class Measured(NamedTuple):
    """S sizes, ascending."""

    sizes: Array
    """[S]"""
    octaves: Array
    """[S], doublings above the smallest."""
    means: Array
    """[S], mean accuracies."""
    counts: Array
    """[S], replicates."""
    variances: Array
    """[S], of one replicate, shrunk."""
    dof: float
    """Of the variances; 0 without replicates."""
    shared: Array
    """[S, S], covariance of the means from the test set that they share."""

    @property
    def errors(self) -> Array:
        """Variances of the means from replicates alone, [S]."""
        return self.variances / self.counts

    def none_better(self, tolerance: float, quantile: float) -> NDArray[np.bool_]:
        """Whether no larger student at hand can be better by more than the tolerance, [S].

        `quantile` is Student's, for the upper end of each difference.
        """
        better = self.means[None, :] - self.means[:, None]
        better = better + quantile * np.sqrt(self.errors[None, :] + self.errors[:, None])
        return np.array([(row[k + 1 :] < tolerance).all() for k, row in enumerate(better)])

    @classmethod
    def of(
        cls,
        sizes: ArrayLike,
        accuracies: Sequence[ArrayLike] | Array,
        covariance: ArrayLike | None,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> "Measured":
        """From what a caller gives, as `fit_capacity_curve` describes it.

        `bounds` are the lowest and the highest value that there can be: of fractions 0 and 1.

        Raises:
            ValueError: Shapes do not agree, fewer than three sizes, or a value is out of range.
        """
        order, ordered, rows = _in_order(sizes, accuracies, bounds)
        counts = np.array([row.size for row in rows], dtype=float)
        own = np.array([row.var(ddof=1) if row.size > 1 else 0.0 for row in rows])
        octaves = np.log2(ordered / ordered[0])
        shrunk = shrunk_variances(octaves, own, counts - 1)
        means = np.array([row.mean() for row in rows])
        shared = _shared(covariance, order)
        return cls(ordered, octaves, means, counts, shrunk.values, shrunk.dof, shared)


def _shared(covariance: ArrayLike | None, order: NDArray[np.intp]) -> Array:
    """The covariance [S, S] in ascending order of size."""
    if covariance is None:
        return np.zeros((len(order), len(order)))
    matrix = np.asarray(covariance, dtype=float)
    if matrix.shape != (len(order), len(order)) or not np.isfinite(matrix).all():
        raise ValueError(
            f"covariance must be a finite array of shape {(len(order), len(order))}, one row for "
            f"each size, not {matrix.shape}"
        )
    return matrix[np.ix_(order, order)]


def _in_order(
    sizes: ArrayLike, accuracies: Sequence[ArrayLike] | Array, bounds: tuple[float, float]
) -> tuple[NDArray[np.intp], Array, list[Array]]:
    """The ascending order, sizes in it, and their replicates."""
    flat, rows = _numbers(sizes, accuracies)
    if flat.ndim != 1:
        raise ValueError(f"sizes must be a list of numbers, not an array of shape {flat.shape}")
    if len(rows) != flat.size:
        raise ValueError(f"there are {flat.size} sizes, but accuracies for {len(rows)}")
    if any(row.ndim != 1 for row in rows):
        raise ValueError("accuracies must be one list of replicates for each size")
    if flat.size < 3:
        raise ValueError(f"a curve needs at least 3 sizes, not {flat.size}")
    if not np.all(np.isfinite(flat) & (flat > 0)) or np.unique(flat).size < flat.size:
        raise ValueError("sizes must be distinct, positive and finite")
    if any(row.size == 0 or not np.all(np.isfinite(row)) for row in rows):
        raise ValueError("accuracies must be finite numbers, one or more for each size")
    low, high = bounds
    if any(not np.all((row >= low) & (row <= high)) for row in rows):
        raise ValueError(
            f"accuracies must be fractions from {low:g} to {high:g} (0.873, not 87.3), one or "
            "more for each size"
        )
    order = np.argsort(flat)
    return order, flat[order], [rows[i] for i in order]


def _numbers(
    sizes: ArrayLike, accuracies: Sequence[ArrayLike] | Array
) -> tuple[Array, list[Array]]:
    """Both as arrays of floats."""
    try:
        flat = np.asarray(sizes, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError("sizes must be a list of numbers") from error
    try:
        rows = [np.atleast_1d(np.asarray(row, dtype=float)) for row in accuracies]
    except (TypeError, ValueError) as error:
        raise ValueError("accuracies must be one list of numbers for each size") from error
    return flat, rows
