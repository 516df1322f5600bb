"""What the numbers of a curve are: their unit, their bounds, and the words of a verdict.

All of them are scores: turned so that higher is better, whichever way the metric itself goes.
"""

from typing import NamedTuple


class Unit(NamedTuple):
    """How values of one kind, and differences of two, are written."""

    factor: float
    """Percent of a fraction: 100."""
    digits: int
    """Decimals beyond those of a percentage."""
    of_values: str
    """After a value: ` %`."""
    of_differences: str
    """After a difference: ` points`."""

    def fixed(self, difference: float, digits: int = 1) -> str:
        """A difference without its unit, with the decimals of a percentage and the unit's own."""
        return f"{self.factor * difference:.{digits + self.digits}f}"

    def amount(self, difference: float) -> str:
        """A difference that was given: `0.5 points`, `1 point`."""
        value = round(self.factor * difference, 10)
        if value == 1 and self == PERCENT:
            return "1 point"
        return f"{value:g}{self.of_differences}"


PERCENT = Unit(100.0, 0, " %", " points")
NATS = Unit(1.0, 2, " nats", " nats")
PLAIN = Unit(1.0, 2, "", "")


class Scale(NamedTuple):
    """Of the scores of one metric; as it is, of an accuracy."""

    unit: Unit = PERCENT
    bounds: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest score that there can be."""
    perfect: float = 1.0
    """The score that errors are counted from."""
    gain_words: str = "gain"
    """What a better student does, before an amount."""
    gained_words: str = "gained"
    """What it did."""
    moving: str = "rising"
    """What the metric still does where larger students are better."""
