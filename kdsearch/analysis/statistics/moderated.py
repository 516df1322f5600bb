"""Means of small samples whose variances are shrunk towards each other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kdsearch.analysis.statistics.variance import shrunk_variances, size_positions


class Moderated(NamedTuple):
    """A mean with what its neighbours tell of its error."""

    mean: float
    n: int
    error: float
    """Standard error."""
    dof: float
    """Of the error; 0 if no sample has two values."""


def moderated(
    samples: Sequence[Sequence[float]], sizes: Sequence[float | None]
) -> list[Moderated | None]:
    """Means of samples, in order; None for an empty one.

    Args:
        samples: Independent values in each.
        sizes: Of their students, along whose logarithm variances may follow a trend; None where
            it is not known.
    """
    rows = [np.array(sample, dtype=float) for sample in samples]
    known = [row for row in rows if len(row)]
    if not known:
        return [None] * len(rows)
    places = size_positions([size for size, row in zip(sizes, rows, strict=True) if len(row)])
    counts = np.array([len(row) for row in known], dtype=float)
    own = np.array([row.var(ddof=1) if len(row) > 1 else 0.0 for row in known])
    shrunk = shrunk_variances(places, own, counts - 1)
    errors = iter(np.sqrt(shrunk.values / counts))
    return [
        Moderated(float(row.mean()), len(row), float(next(errors)), shrunk.dof)
        if len(row)
        else None
        for row in rows
    ]
