"""How the report writes numbers, names and lists."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kdsearch.analysis.statistics.scale import PERCENT, Unit
from kdsearch.config import METRICS
from kdsearch.config.metric import VALIDATION
from kdsearch.results.record import Scalar

if TYPE_CHECKING:  # it brings SciPy along, which names for things do not need
    from kdsearch.analysis.estimate import Estimate

DASH = "–"


def percent(fraction: float | None, digits: int = 1) -> str:
    """`0.8734` as `87.3 %`."""
    return number(fraction, digits)


def number(value: float | None, digits: int = 1, unit: Unit = PERCENT) -> str:
    """A value with its unit.

    Args:
        value: None is a dash.
        digits: Decimals of a percentage; other units have more.
        unit: Of the value.
    """
    if value is None:
        return DASH
    return f"{unit.factor * value:.{digits + unit.digits}f}{unit.of_values}"


def level(confidence: float) -> str:
    """Coverage of an interval: `90 %`."""
    return f"{100 * confidence:g} %"


def points(difference: float | None, digits: int = 1, unit: Unit = PERCENT) -> str:
    """A difference of fractions as signed percentage points: `+1.3`; never `-0.0`."""
    if difference is None:
        return DASH
    digits += unit.digits
    value = round(unit.factor * difference, digits) + 0.0
    return f"{value:+.{digits}f}".replace("-", "−")


def gained(difference: float, unit: Unit = PERCENT) -> str:
    """A gain of a fraction in points, with as many digits as it takes to be told from zero."""
    value = 100 * difference
    if abs(value) < 0.005:
        return f"{0:.{2 + unit.digits}f}"
    digits = (1 if abs(value) >= 0.95 else 2) + unit.digits
    return f"{unit.factor * difference:.{digits}f}".replace("-", "−")


def count(number: float | None) -> str:
    """`5042` as `5.0 k`, `1200000` as `1.2 M`; below 1000 as it is."""
    if number is None:
        return DASH
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * limit:
            scaled = number / limit
            return f"{scaled:.0f} {unit}" if scaled >= 99.95 else f"{scaled:.1f} {unit}"
    return f"{number:.0f}"


def scalar(value: Scalar | None) -> str:
    """A setting's value: at most three significant digits for floats."""
    if value is None:
        return DASH
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def places(error: float | None, *, least: int = 1) -> int:
    """Decimals of a percentage that show its standard error, 1 to 3.

    Args:
        error: Of the fraction; None where it is not known.
        least: Fewer are not given: a table's column has them all.
    """
    enough = 1 if error is None or error >= 0.00095 else 2 if error >= 0.000095 else 3
    return max(least, enough)


def places_of(value: "Estimate", *, least: int = 1) -> int:
    """`places` of an estimate; half of its interval counts as two errors where there is none."""
    error = value.se
    if error is None and value.low is not None and value.high is not None:
        error = (value.high - value.low) / 4
    return places(error, least=least)


def estimate(value: "Estimate | None", least: int = 1, unit: Unit = PERCENT) -> str:
    """`87.3 ± 0.1 %`, with the standard error, which decides the digits; without it where n is 1.

    An error that three digits cannot show is bounded: `99.800 ± <0.001 %`.
    """
    if value is None:
        return DASH
    digits = places_of(value, least=least)
    if value.se is None:
        return number(value.mean, digits, unit)
    digits += unit.digits
    error = f"{unit.factor * value.se:.{digits}f}"
    if float(error) == 0:
        error = f"<{10.0**-digits:.{digits}f}"
    return f"{unit.factor * value.mean:.{digits}f} ± {error}{unit.of_values}"


def shift(value: "Estimate | None", least: int = 1, unit: Unit = PERCENT) -> str:
    """A difference in percentage points, its error deciding the digits: `+0.21`."""
    return DASH if value is None else points(value.mean, places_of(value, least=least), unit)


def shift_interval(value: "Estimate | None", least: int = 1, unit: Unit = PERCENT) -> str:
    """The interval of a difference, in percentage points: `[+0.17, +0.25]`."""
    if value is None or value.low is None or value.high is None:
        return DASH
    return points_interval(value.low, value.high, places_of(value, least=least), unit)


def estimate_interval(value: "Estimate | None", least: int = 1, unit: Unit = PERCENT) -> str:
    """The interval of a fraction, in percent: `[87.05, 87.57]`."""
    if value is None:
        return DASH
    return interval(value.low, value.high, places_of(value, least=least), unit)


def interval(low: float | None, high: float | None, digits: int = 2, unit: Unit = PERCENT) -> str:
    """`[87.05, 87.57]`, in percent."""
    if low is None or high is None:
        return DASH
    digits += unit.digits
    return f"[{unit.factor * low:.{digits}f}, {unit.factor * high:.{digits}f}]"


def points_interval(
    low: float | None, high: float | None, digits: int = 1, unit: Unit = PERCENT
) -> str:
    """`[+0.2, +1.1]`, in percentage points."""
    if low is None or high is None:
        return DASH
    return f"[{points(low, digits, unit)}, {points(high, digits, unit)}]"


def leaf(name: str) -> str:
    """The last part of a dotted name: `data.train_fraction` as `train_fraction`.

    A teacher's field says so: `teacher.model.width` is not the student's width.
    """
    last = name.rsplit(".", 1)[-1]
    return f"teacher {last}" if name.startswith("teacher.") else last


def words(name: str) -> str:
    """A parameter's name for people: `training.weight_decay` as `weight decay`."""
    return leaf(name).replace("_", " ")


_COUNTS = {
    "num_params": "parameters",
    "macs": "multiply-accumulates a sample",
    "size_bytes": "bytes",
}


def metric(name: str) -> str:
    """An objective's name for people: `val_accuracy` as `validation accuracy`."""
    measured = METRICS.get(name.removeprefix(VALIDATION)) if name.startswith(VALIDATION) else None
    return f"validation {measured.words}" if measured is not None else _COUNTS.get(name, name)


def capitalized(text: str) -> str:
    """With a capital first letter; the rest as it is."""
    return f"{text[:1].upper()}{text[1:]}"


def stratum_label(stratum: Mapping[str, Scalar]) -> str:
    """`width 64, ensemble_size 4`; empty for a study without scientific parameters.

    Names keep their dots where two of them would end alike.
    """
    leaves = [leaf(name) for name in stratum]
    return ", ".join(
        f"{short if leaves.count(short) == 1 else name} {scalar(value)}"
        for short, (name, value) in zip(leaves, stratum.items(), strict=True)
    )


class Noun(NamedTuple):
    """What a point of the scientific axis is called, for one and for several."""

    one: str
    many: str

    @property
    def head(self) -> str:
        """Of a column."""
        return capitalized(self.one)

    def numbered(self, number: int) -> str:
        """`1 width`, `6 widths`."""
        return f"{number:,} {self.one if number == 1 else self.many}"


STRATUM = Noun("stratum", "strata")
"""Where nothing better is known."""
_NOUNS = {"data.train_fraction": Noun("share of the data", "shares of the data")}


def axis_noun(scientific: Sequence[str], *, is_front: bool) -> Noun:
    """What the study's strata are to a reader: widths, ensemble sizes, points of a grid.

    Args:
        scientific: Names of the scientific parameters.
        is_front: Whether there are several objectives, so that they are students of a front.
    """
    if is_front:
        return Noun("student on the front", "students on the front")
    if not scientific:
        return Noun("arm", "arms")
    if len(scientific) > 1:
        return Noun("point of the grid", "points of the grid")
    name = scientific[0]
    return _NOUNS.get(name) or Noun(words(name), f"{words(name)}s")


def listing(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) <= 1:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def span(numbers: Sequence[int]) -> str:
    """`5`, or `3 to 5` where they differ."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def plural(number: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
