"""MNIST-1D (Greydanus 2020, arXiv:2011.14439), made by its own package's generator."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kdsearch.cache.folder import cached_arrays, dataset_folder
from kdsearch.data.sources.raw import RawData

_CANONICAL_SEED = 42  # the package's own; data.seed 0 gives the published data set


def load_mnist1d(*, train_samples: int, test_samples: int, seed: int, cache: Path) -> RawData:
    """Samples [1, 40] in 10 classes, with a test set from the same generation.

    The generator draws training and test samples in one go, so each of the three numbers changes
    all samples. `train_samples=4000, test_samples=1000, seed=0` is the published data set.

    Args:
        train_samples: a multiple of 10, as the ten classes are of equal size before the cut.
        test_samples: a multiple of 10.
        seed: 0 or more.
        cache: the cache folder; the arrays are kept in it.
    """
    # RandomState takes 32 bits.
    generator_seed = (_CANONICAL_SEED + seed) % 2**32
    # The counts, the seed and the generator's version fix every value.
    file = (
        f"mnist1d-{version('mnist1d')}-train{train_samples}-test{test_samples}"
        f"-seed{generator_seed}.npz"
    )
    arrays = cached_arrays(
        dataset_folder(cache) / file,
        lambda: _generate(train_samples, test_samples, generator_seed),
    )
    return RawData(name="mnist1d", **arrays)


def _generate(train_samples: int, test_samples: int, seed: int) -> dict[str, np.ndarray]:
    from mnist1d.data import get_dataset_args, make_dataset

    settings = get_dataset_args()
    # The package cuts at int(n * fraction), which loses a sample for some n: cut here instead.
    vars(settings).update(num_samples=train_samples + test_samples, train_split=1.0, seed=seed)
    with _global_random_state_kept():
        made = make_dataset(settings)
    x, y = made["x"].astype(np.float32)[:, None], made["y"].astype(np.int64)
    return {
        "x": x[:train_samples],
        "y": y[:train_samples],
        "x_test": x[train_samples:],
        "y_test": y[train_samples:],
    }


@contextmanager
def _global_random_state_kept() -> Generator[None, None, None]:
    """The generator seeds the global random numbers of Python and NumPy: put them back."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - the state to protect is the legacy one
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
