"""scikit-learn's handwritten digits: 8x8 pixels with values 0..16, shipped with the package."""

import numpy as np

from kdsearch.data.sources.raw import RawData


def load_digits() -> RawData:
    """1,797 samples [1, 8, 8] in 10 classes; no test set of its own."""
    from sklearn import datasets

    x, y = datasets.load_digits(return_X_y=True)
    return RawData(name="digits", x=np.asarray(x).reshape(-1, 1, 8, 8), y=np.asarray(y))
