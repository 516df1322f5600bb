import numpy as np
import pytest

from kdsearch.data.sources.raw import RawData
from kdsearch.errors import DataError

X, Y = np.arange(24.0).reshape(12, 2), np.arange(12) % 3


def with_value(value: float, dtype: type = np.float64) -> np.ndarray:
    x = X.astype(dtype)
    x[7, 1] = value
    return x


def test_good_arrays_pass() -> None:
    raw = RawData("mine", X, Y, X[:2], Y[:2])
    raw.check()
    assert raw.num_classes == 3


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64, np.float16, np.float32])
def test_real_dtypes_pass(dtype: type) -> None:
    RawData("mine", X.astype(dtype), Y.astype(np.uint8)).check()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:-1], "x has 12 samples and y has 11 labels"),
        (X, Y[:, None], r"y has shape \(12, 1\)"),
        (X[:, 0], Y, r"x has shape \(12,\)"),
        (X[:0], Y[:0], "x is empty"),
        (X[:, :0], Y, "x is empty"),
        (with_value(np.nan), Y, "NaN, infinity .*first in row 7, 1 in all"),
        (with_value(np.inf), Y, "first in row 7"),
        (with_value(-np.inf, np.float32), Y, "first in row 7"),
        (with_value(1e300), Y, "beyond float32"),
        (X.astype(complex), Y, "x has dtype complex128; real numbers"),
        (X.astype(str), Y, "real numbers are allowed"),
        (X.astype(object), Y, "x holds Python objects"),
        (X, Y.astype(object), "y holds Python objects"),
        (X, Y.astype(float), "y has dtype float64; integer labels"),
        (X, Y - 1, "label -1; labels 0..C-1"),
        (X, Y + 1, "label 3 but never label 0"),
        (X, Y * 2, "label 4 but never label 1"),
        (X, Y + 10**15 * (Y == 2), "label 1000000000000002 but never label 2"),
        (X, Y * 0, "every label in y is 0; at least two classes"),
    ],
)
def test_bad_training_arrays(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=f"^mine: .*{message}"):
        RawData("mine", x, y).check()


@pytest.mark.parametrize(
    ("x_test", "y_test", "message"),
    [
        (X, None, "x_test is given without y_test"),
        (None, Y, "y_test is given without x_test"),
        (X[:, :1], Y, r"x_test have shape \(1,\), those of x have \(2,\)"),
        (X[..., None], Y, r"x_test have shape \(2, 1\)"),
        (X, Y + 1, "y_test holds label 3, which does not occur in y; labels 0..2"),
        (X, Y - 1, "y_test holds label -1"),
        (X, Y[:3], "x_test has 12 samples and y_test has 3 labels"),
        (X[:0], Y[:0], "x_test is empty"),
        (with_value(np.nan), Y, "x_test holds NaN"),
    ],
)
def test_bad_test_arrays(
    x_test: np.ndarray | None, y_test: np.ndarray | None, message: str
) -> None:
    with pytest.raises(DataError, match=f"^mine: .*{message}"):
        RawData("mine", X, Y, x_test, y_test).check()
