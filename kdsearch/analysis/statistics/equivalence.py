"""Second opinions on saturation that assume no curve: equivalence, and one standard error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]


class SecondOpinions(NamedTuple):
    """Sizes from which on more capacity does not pay, by two rules."""

    equivalent_size: float | None
    """Smallest size that, like all larger ones, is equivalent to the largest; None if no other
    size is shown to be."""
    one_se_size: float | None
    """Smallest size within one standard error of the best; it moves with the number of
    replicates. None without a standard error."""


def second_opinions(
    sizes: Array,
    means: Array,
    variances: Array,
    dof: float,
    *,
    tolerance: float,
    confidence: float,
) -> SecondOpinions:
    """TOST against the largest size at `tolerance`, and the one-standard-error rule.

    Sizes are independent samples: their students share no initial weights.

    Args:
        sizes: Ascending, [S].
        means: Mean accuracies, [S].
        variances: Of the means, [S].
        dof: Degrees of freedom of the variances; 0 without replicates.
        tolerance: Equivalence margin, an absolute fraction.
        confidence: Of the two-sided interval that must lie inside the margin: 0.9 makes two
            one-sided tests at 5 %.
    """
    if dof == 0:
        return SecondOpinions(None, None)
    quantile = float(stats.t.ppf(0.5 + confidence / 2, dof))
    reach = quantile * np.sqrt(variances + variances[-1])
    is_equivalent = np.abs(means[-1] - means) + reach < tolerance
    equivalent = None
    for size, holds in zip(sizes[-2::-1], is_equivalent[-2::-1], strict=True):
        if not holds:
            break
        equivalent = float(size)
    best = int(means.argmax())
    limit = means[best] - np.sqrt(variances[best])
    return SecondOpinions(equivalent, float(sizes[int(np.flatnonzero(means >= limit)[0])]))
