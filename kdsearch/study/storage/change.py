"""What may change between two runs of a study, and what would make it another study."""

from typing import Any

from kdsearch.config import StudyConfig
from kdsearch.errors import StudyChangedError

MAY_CHANGE = frozenset(
    {
        "question",
        "storage",
        "budget.trials",
        "budget.max_failures",
        "confirm.replicates",
        "confirm.baseline",
        "confirm.candidates",
        "study.asks",
        "study.metric",
        "study.tolerance",
        "study.confidence",
        "study.ladder.max",
        "tracking.experiment",
        "tracking.models",
    }
)


LEFT_OPEN = (
    ("sampler", "kind"),
    ("pruner", "kind"),
    ("pruner", "min_epochs"),
    ("confirm", "choose_by"),
    ("confirm", "candidates"),
)
"""What a file may leave to kdsearch, and a later version decides otherwise: a study goes on as it
began. What an old one began with is written by a step of `storage.upgrade`."""


def as_begun(old: StudyConfig, new: StudyConfig) -> StudyConfig:
    """`new`, with what its file leaves open as `old` has it."""
    for section, key in LEFT_OPEN:
        mine, theirs = getattr(new, section), getattr(old, section)
        if section not in new.model_fields_set or key not in mine.model_fields_set:
            update = {section: mine.model_copy(update={key: getattr(theirs, key)})}
            new = new.model_copy(update=update)
    return new


def refuse_change(old: StudyConfig, new: StudyConfig) -> None:
    """Make sure that `new` continues the study that `old` began.

    Raises:
        StudyChangedError: It does not; the message is a diff of dotted keys.
    """
    before, after = _flatten(old.model_dump(mode="json")), _flatten(new.model_dump(mode="json"))
    keys = [key for key in (before | after) if before.get(key) != after.get(key)]
    changed = [key for key in keys if key not in MAY_CHANGE]
    if not changed:
        return
    lines = [f"  {key}: {_show(before, key)} -> {_show(after, key)}" for key in changed]
    raise StudyChangedError(
        f"study {old.name} was begun with other settings, so its trials would not be "
        "comparable:\n" + "\n".join(lines) + "\ngive the study file another name, or put the "
        "settings back (budget.trials, confirm and tracking may change, and study.asks, "
        "study.metric, study.tolerance, study.confidence and study.ladder.max)"
    )


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _show(flat: dict[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else "(absent)"
