"""Sampling error of accuracies that share one test set."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def accuracy_covariance(shares: Sequence[Array], replicates: Sequence[int]) -> Array:
    """Covariance [S, S] of mean accuracies over draws of test examples.

    Students err on the same hard examples, so most of it cancels in differences. The part of
    the diagonal that comes from few replicates is taken out: replicates count it already.

    Args:
        shares: For each size, the share of its replicates that were right, by test example [E].
        replicates: Of each size; at least 2.
    """
    table = np.stack(shares)
    covariance = np.atleast_2d(np.cov(table, ddof=1))
    counts = np.asarray(replicates, dtype=float)
    luck = (table * (1 - table)).mean(axis=1) / (counts - 1)
    values, vectors = np.linalg.eigh(covariance - np.diag(luck))
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T) / table.shape[1]
