"""A table of the report page."""

from typing import NamedTuple

EMPTY = ("", "–", "0")
"""What a cell without a value holds; a count of none says no more beside it."""


class Table(NamedTuple):
    """A table of plain texts. The first `text_columns` are aligned left."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    highlight: int | None = None
    """StudentSpec of the recommended stratum."""
    caption: str = ""

    def without_empty(self) -> "Table":
        """The table without columns in which no row says anything."""
        kept = [
            i
            for i in range(len(self.header))
            if i < self.text_columns or any(row[i] not in EMPTY for row in self.rows)
        ]
        return self._replace(
            header=tuple(self.header[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )
