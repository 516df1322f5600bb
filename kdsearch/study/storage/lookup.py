"""A study by its name, with a hint where the name is not quite right."""

from kdsearch.config.problem import choices, did_you_mean
from kdsearch.errors import UnknownStudyError
from kdsearch.study.storage.database import connect_existing, study_names
from kdsearch.study.storage.ledger import Ledger

_MOST_NAMES = 10


def open_ledger(name: str, storage: str) -> Ledger:
    """The ledger of a study.

    Raises:
        UnknownStudyError: There is none; says what there is.
    """
    opened = connect_existing(storage)
    names = study_names(opened)
    if name in names:
        return Ledger(opened, name)
    hint = did_you_mean(name, names)
    if not names:
        there = "there are none yet"
    elif len(names) <= _MOST_NAMES:
        there = f"there {'is' if len(names) == 1 else 'are'} {choices(names)}"
    else:
        there = "`kdsearch study list` shows those that are"
    raise UnknownStudyError(f"no study is called {name}; {hint}{there}")
