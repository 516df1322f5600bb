"""The user's own NumPy archive: arrays `x`, `y` and optionally `x_test`, `y_test`."""

from pathlib import Path

from kdsearch.cache.archive import read_arrays
from kdsearch.data.sources.raw import RawData
from kdsearch.errors import DataError


def load_npz(path: Path, *, name: str) -> RawData:
    """The arrays as they are: x [N, D] gives flat samples, more axes are kept.

    Other arrays in the archive are ignored.

    Raises:
        DataError: the file is missing or damaged, or lacks `x` or `y`.
    """
    arrays = read_arrays(path)
    for needed in ("x", "y"):
        if needed not in arrays:
            held = ", ".join(sorted(arrays)) or "nothing"
            raise DataError(
                f"{path} lacks array '{needed}' (it holds {held}); x and y are needed, "
                "x_test and y_test are optional."
            )
    return RawData(
        name=name,
        x=arrays["x"],
        y=arrays["y"],
        x_test=arrays.get("x_test"),
        y_test=arrays.get("y_test"),
    )
