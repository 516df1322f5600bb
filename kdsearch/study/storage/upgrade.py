"""What earlier versions stored, in the words of today: one pure step from each schema to the next.

A study's configuration, its records and its teacher banks carry the number of the schema that they
were written in, and the version that wrote them. Until 0.2.0 they carried none: that is schema 0.
What is read goes through the steps that lie between. Nothing is rewritten by reading: a record
that has ended stays as it was written, because Optuna closes its trial, and is upgraded each time;
a record that still runs is written in today's schema when it ends, the configuration by the next
`study run`.

To rename, move or drop what is stored, append a step to `STEPS`. A new field needs none if its
default says what was so before it came; where it says otherwise, the step writes what was so, and
`change.LEFT_OPEN` names the field, so that a file which leaves it open goes on. The fields of
`data` and `teacher` are part of content addresses, too (`config.base.Section.identity`).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, NamedTuple

from kdsearch.config import SHORT_NAMES
from kdsearch.errors import UserInputError

NUMBER, WRITER = "schema", "written_by"

Stored = dict[str, Any]
"""Plain values, as JSON has them."""
Kind = Literal["config", "record", "bank"]
"""What is stored: a `StudyConfig`, a `TrialRecord` or a `TeacherBankRecord`."""


def unchanged(saved: Stored) -> Stored:
    """Nothing to do."""
    return saved


class Step(NamedTuple):
    """From one schema to the next: of each kind a pure function, and the names of parameters."""

    config: Callable[[Stored], Stored] = unchanged
    record: Callable[[Stored], Stored] = unchanged
    bank: Callable[[Stored], Stored] = unchanged
    parameters: Mapping[str, str] = {}
    """Search parameters that are called otherwise since, old name to new: renamed before the
    functions are called, wherever they are keys, and in what Optuna holds of a trial."""

    def apply(self, kind: Kind, saved: Stored) -> Stored:
        """`saved` in the next schema."""
        match kind:
            case "config":
                return self.config(self._renamed(saved, "search"))
            case "record":
                return self.record(self._renamed(self._renamed(saved, "settings"), "stratum"))
            case "bank":
                return self.bank(self._renamed(saved, "settings"))

    def _renamed(self, saved: Stored, key: str) -> Stored:
        if not self.parameters or key not in saved:
            return saved
        return saved | {key: {self.parameters.get(n, n): v for n, v in saved[key].items()}}


def from_unnumbered(saved: Stored) -> Stored:
    """A configuration of 0.1 or 0.2, with what was understood when it was stored.

    Versions before 0.2 chose one candidate by the best score and began to prune earlier. There is
    no number to tell them apart, so this step looks at what is there.
    """
    budget = {key: value for key, value in saved["budget"].items() if key != "race"}
    saved = saved | {"budget": budget}  # tried within version 0.2, and taken out
    if "choose_by" in saved["confirm"]:
        return saved | {"confirm": {"candidates": 1} | saved["confirm"]}
    pruner, epochs = saved["pruner"], saved["training"]["epochs"]
    first = pruner["min_epochs"] or max(epochs // pruner["reduction_factor"] ** 2, 1)
    return saved | {
        "confirm": saved["confirm"] | {"choose_by": "score", "candidates": 1},
        "pruner": pruner | ({} if pruner["kind"] == "none" else {"min_epochs": first}),
    }


NAMED_ONCE = Step(parameters={field: short for short, field in SHORT_NAMES.items()})
"""From schema 1 to 2: `student.width`, which a file may write, is `width` past the file."""

STEPS: tuple[Step, ...] = (Step(config=from_unnumbered), NAMED_ONCE)
"""The step at index n leads from schema n to n + 1; today's schema is their number."""


class NewerSchemaError(Exception):
    """Something was stored in a schema that this version does not know; the ledger says what."""


def upgraded(kind: Kind, saved: Mapping[str, Any], steps: Sequence[Step]) -> Stored:
    """What was stored, in today's schema and without its number.

    Raises:
        NewerSchemaError: A newer version has stored it.
    """
    number = int(saved.get(NUMBER, 0))
    if number > len(steps):
        raise NewerSchemaError
    plain = {key: value for key, value in saved.items() if key not in (NUMBER, WRITER)}
    for step in steps[number:]:
        plain = step.apply(kind, plain)
    return plain


def numbered(saved: Mapping[str, Any], steps: Sequence[Step]) -> Stored:
    """What is to be stored, with today's number and the version that writes it."""
    return {NUMBER: len(steps), WRITER: own_version(), **saved}


def renamed_parameters(saved: Mapping[str, Any], steps: Sequence[Step]) -> dict[str, str]:
    """The names that search parameters had when a record was stored, to those of today."""
    names: dict[str, str] = {}
    for step in steps[saved.get(NUMBER, 0) :]:
        names = {old: step.parameters.get(new, new) for old, new in names.items()}
        names |= step.parameters
    return names


def unreadable(what: str, saved: Mapping[str, Any], steps: Sequence[Step]) -> UserInputError:
    """The error for what this version cannot read; `what` names it and says where it is."""
    number, writer = saved.get(NUMBER, 0), saved.get(WRITER)
    told = f"kdsearch {writer}" if writer else "the version that stored it"
    return UserInputError(
        f"{what} was stored by another version of kdsearch, in schema {number}, and this one "
        f"({own_version()}, up to schema {len(steps)}) cannot read it; install {told}, or give "
        "the study file another name"
    )


@cache
def own_version() -> str | None:
    """Of the kdsearch that runs; None where it runs without being installed."""
    try:
        return version("kdsearch")
    except PackageNotFoundError:
        return None
