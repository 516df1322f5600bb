"""MNIST (LeCun, Cortes, Burges)."""

from pathlib import Path

from kdsearch.data.sources.published import load_published, published_files
from kdsearch.data.sources.raw import RawData


def load_mnist(*, cache: Path) -> RawData:
    """60,000 training and 10,000 test samples [1, 28, 28] in 10 classes.

    Raises:
        DataError: the files are nowhere and cannot be fetched, or are malformed.
    """
    return load_published("mnist", openml_name="mnist_784", system_folders=(), cache=cache)


def mnist_files(*, cache: Path) -> list[Path]:
    """The files that `load_mnist` reads."""
    return published_files("mnist", system_folders=(), cache=cache)
