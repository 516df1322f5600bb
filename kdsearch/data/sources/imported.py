"""Arrays that the user's own code makes."""

from collections.abc import Mapping

import numpy as np

from kdsearch.data.sources.raw import RawData
from kdsearch.errors import DataError
from kdsearch.user_code import call_target


def load_imported(target: str, options: Mapping[str, object]) -> RawData:
    """The arrays that the user's callable returns: (x, y) or (x, y, x_test, y_test).

    Anything that NumPy can read as an array is an array: CPU tensors and nested lists too.

    Raises:
        DataError: the target cannot be imported, fails, or returns something else.
    """
    returned = call_target(target, options, error_type=DataError)
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 4):
        raise DataError(
            f"'{target}' returned {_describe(returned)}; "
            "(x, y) or (x, y, x_test, y_test) is allowed."
        )
    x, y, x_test, y_test = returned if len(returned) == 4 else (*returned, None, None)
    return RawData(
        name=target,
        x=_array(x, "x", target),
        y=_array(y, "y", target),
        x_test=None if x_test is None else _array(x_test, "x_test", target),
        y_test=None if y_test is None else _array(y_test, "y_test", target),
    )


def _array(value: object, name: str, target: str) -> np.ndarray:
    try:
        return np.asarray(value)
    # Ragged lists; objects without a length; tensors on a GPU or with a gradient.
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"'{target}': {name} is no array ({error}).") from error


def _describe(value: object) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list) else f"type {kind}"
