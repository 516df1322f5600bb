"""Which samples go where: stratified, seeded, nested choices of row numbers."""

from dataclasses import dataclass

import numpy as np

from kdsearch.errors import DataError

# Each choice has a random stream of its own, so that changing one fraction moves no other choice.
_TEST_STREAM, _VAL_STREAM, _TRAIN_STREAM = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Rows:
    """StudentSpec numbers of each split in the source's training arrays, ascending, int64."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray | None
    """None where the source has a test set of its own."""


def stratified_order(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random order of 0..N-1 in which every beginning has the classes in proportion.

    Sample i of the n of its class, in random order, stands at (i + 1/2) / n of the whole: the
    first k samples hold about k * n / N of each class. Beginnings of one order are nested.

    Args:
        labels: integers [N].
        rng: the source of the order.
    """
    shuffled = rng.permutation(len(labels))
    # A stable sort by class keeps the random order inside each class.
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    _, counts = np.unique(labels, return_counts=True)
    place = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    # Classes of equal size tie at every place; a coin, not the label, says who comes first.
    return by_class[np.lexsort((rng.random(len(labels)), place))]


def choose_rows(
    labels: np.ndarray,
    *,
    name: str,
    test_fraction: float | None,
    val_fraction: float,
    train_fraction: float,
    seed: int,
) -> Rows:
    """Split the rows of a training array.

    The test set comes off first (where `test_fraction` is given), then the validation set, then
    `train_fraction` of the rest is kept: so test and validation set do not depend on
    `train_fraction`, and smaller training sets are part of larger ones.

    Args:
        labels: integers in 0..C-1, each of which occurs, [N].
        name: the source, for messages.
        test_fraction: share of all samples, or None where the source has its own test set.
        val_fraction: share of the samples that are not test samples.
        train_fraction: share of the remaining samples.
        seed: 0 or more.

    Raises:
        DataError: a class has no sample in one of the splits.
    """
    rest = np.arange(len(labels))
    test = None
    if test_fraction is not None:
        test, rest = _take(labels, rest, test_fraction, seed=[seed, _TEST_STREAM])
        _check_every_class(labels, test, name=name, split="test", share=test_fraction)
    val, rest = _take(labels, rest, val_fraction, seed=[seed, _VAL_STREAM])
    _check_every_class(labels, val, name=name, split="val", share=val_fraction)
    train, _ = _take(labels, rest, train_fraction, seed=[seed, _TRAIN_STREAM])
    _check_every_class(labels, train, name=name, split="train", share=train_fraction)
    return Rows(train=train, val=val, test=test)


def _take(
    labels: np.ndarray, rows: np.ndarray, share: float, *, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """`share` of `rows`, and the others; both ascending."""
    order = rows[stratified_order(labels[rows], np.random.default_rng(seed))]
    count = round(len(rows) * share)
    return np.sort(order[:count]), np.sort(order[count:])


def _check_every_class(
    labels: np.ndarray, rows: np.ndarray, *, name: str, split: str, share: float
) -> None:
    num_classes = int(labels.max()) + 1
    absent = np.setdiff1d(np.arange(num_classes), labels[rows])
    if len(absent) == 0:
        return
    label = int(absent[0])
    total = int((labels == label).sum())
    raise DataError(
        f"{name}: class {label} has {total} {'sample' if total == 1 else 'samples'} and none of "
        f"them falls into the {split} split of {len(rows)} (data.{split}_fraction is {share:g}); "
        "every class needs at least one sample in each split, so give more samples of it or "
        "change the fractions."
    )
