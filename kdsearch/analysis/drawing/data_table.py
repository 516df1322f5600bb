"""A table of the report page."""

from typing import NamedTuple


class Table(NamedTuple):
    """A table of plain texts. The first `text_columns` are aligned left."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    highlight: int | None = None
    """StudentSpec of the recommended stratum."""
    caption: str = ""
