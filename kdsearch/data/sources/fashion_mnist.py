"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747)."""

from pathlib import Path

from kdsearch.data.sources.published import load_published, published_files
from kdsearch.data.sources.raw import RawData

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""


def load_fashion_mnist(*, cache: Path) -> RawData:
    """60,000 training and 10,000 test samples [1, 28, 28] in 10 classes.

    Raises:
        DataError: the files are nowhere and cannot be fetched, or are malformed.
    """
    return load_published(
        "fashion_mnist",
        openml_name="Fashion-MNIST",
        system_folders=(DEBIAN_FOLDER,),
        cache=cache,
    )


def fashion_mnist_files(*, cache: Path) -> list[Path]:
    """The files that `load_fashion_mnist` reads."""
    return published_files("fashion_mnist", system_folders=(DEBIAN_FOLDER,), cache=cache)
