"""What no single section of a study file can know: whether the sections fit together."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One mistake: the dotted key it is at, and one sentence with what is allowed."""

    key: str
    message: str


def find_problems(sections: Mapping[str, Any]) -> list[Problem]:
    """Cross-field mistakes among the sections that are valid by themselves.

    Args:
        sections: Valid sections of a study file by their key; invalid ones are left out, and
            the checks that need them with them.
    """
    del sections
    return []
