"""Means with their uncertainty: t over replicates, bootstrap over test examples."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.9
"""Coverage of an interval where the study does not say otherwise (`study.confidence`)."""
BOOTSTRAP_RESAMPLES = 1000


class Estimate(NamedTuple):
    """A mean over `n` independent values. One value has no standard error and no interval."""

    mean: float
    n: int
    se: float | None
    low: float | None
    """Lower end of the two-sided t interval."""
    high: float | None


def estimate_mean(values: Sequence[float], *, confidence: float = CONFIDENCE) -> Estimate | None:
    """Mean, standard error and t interval of independent values; None if there are none.

    Raises:
        ValueError: `confidence` is not inside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not inside (0, 1)")
    n = len(values)
    if n == 0:
        return None
    mean = float(np.mean(values))
    if n == 1:
        return Estimate(mean, 1, None, None, None)
    se = float(np.std(values, ddof=1) / np.sqrt(n))
    reach = float(stats.t.ppf(0.5 + confidence / 2, n - 1)) * se
    return Estimate(mean, n, se, mean - reach, mean + reach)


def estimate_accuracy(
    values: Sequence[float], *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """`estimate_mean` of fractions: the interval ends at 0 and 1."""
    estimate = estimate_mean(values, confidence=confidence)
    if estimate is None or estimate.low is None or estimate.high is None:
        return estimate
    return estimate._replace(low=max(estimate.low, 0.0), high=min(estimate.high, 1.0))


def estimate_difference(
    a: Sequence[float], b: Sequence[float], *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """Mean of `a` minus mean of `b`, two independent samples: Welch's t interval.

    `n` is the size of the smaller sample. None if one is empty; no interval where one has a
    single value.
    """
    if not a or not b:
        return None
    mean, n = float(np.mean(a) - np.mean(b)), min(len(a), len(b))
    if n == 1:
        return Estimate(mean, n, None, None, None)
    parts = [float(np.var(x, ddof=1)) / len(x) for x in (a, b)]
    se = float(np.sqrt(sum(parts)))
    dof = welch_dof(parts, [len(x) - 1 for x in (a, b)])
    reach = float(stats.t.ppf(0.5 + confidence / 2, dof)) * se
    return Estimate(mean, n, se, mean - reach, mean + reach)


def estimate_document(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate as results.json has it."""
    return None if estimate is None else estimate._asdict()


def welch_dof(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent variances (Welch and Satterthwaite)."""
    spread = sum(v**2 / f for v, f in zip(variances, freedoms, strict=True))
    return sum(variances) ** 2 / spread if spread > 0 else min(freedoms)


def unpack_correct(packed: str, num_samples: int) -> NDArray[np.uint8]:
    """Per-example correctness, shape [num_samples], of a `test_correct` field.

    Raises:
        ValueError: The field does not hold `num_samples` bits.
    """
    raw = np.frombuffer(base64.b64decode(packed, validate=True), dtype=np.uint8)
    if not 0 <= raw.size * 8 - num_samples < 8:
        raise ValueError(f"test_correct holds {raw.size} bytes, not {num_samples} bits")
    return np.unpackbits(raw, count=num_samples)


class ExampleInterval(NamedTuple):
    """What another draw of test examples would change: a percentile bootstrap interval."""

    low: float
    high: float
    num_samples: int


def bootstrap_examples(
    scores: Mapping[str, NDArray[np.float64]], *, confidence: float = CONFIDENCE, seed: int = 0
) -> dict[str, ExampleInterval]:
    """Bootstrap over test examples, with the same resamples for every entry.

    Args:
        scores: By name, one score per test example, all of shape [examples]: correctness
            averaged over replicates, or the difference of two such scores.
        confidence: Coverage of the intervals, in (0, 1).
        seed: Seed of the resampling.
    """
    if not scores:
        return {}
    table = np.stack(list(scores.values()))  # [entries, examples]
    num_samples = table.shape[1]
    rng = np.random.default_rng(seed)
    means = np.empty((BOOTSTRAP_RESAMPLES, table.shape[0]))
    for row in range(BOOTSTRAP_RESAMPLES):
        drawn = np.bincount(rng.integers(num_samples, size=num_samples), minlength=num_samples)
        means[row] = table @ drawn / num_samples
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return {
        name: ExampleInterval(float(low[i]), float(high[i]), num_samples)
        for i, name in enumerate(scores)
    }
