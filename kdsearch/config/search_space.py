"""Which fields can be searched, and whether each value fits the field it goes to."""

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from kdsearch.config.base import Section
from kdsearch.config.distillation import DistillationConfig, ImportDistillation
from kdsearch.config.model import ImportModel
from kdsearch.config.problem import Problem, choices, describe, did_you_mean, show
from kdsearch.config.search import SearchParameter
from kdsearch.config.trial import SHORT_NAMES

Owners = dict[str, Section]

_NOT_SEARCHED = frozenset(
    {"kind", "name", "target", "options", "pretrained", "seed", "device", "engine"}
)
_SEARCHED_WHOLE = ("distillation", "student", "training")
_ROOTS = ("student", "training", "teacher", "data", "distillation")


def check_parameters(
    parameters: Mapping[str, SearchParameter], sections: Mapping[str, Any]
) -> list[Problem]:
    """Problems of the single search parameters.

    Args:
        parameters: Valid search parameters by name.
        sections: Valid sections by key; a parameter of a section that is not there is skipped.
    """
    owners = searchable_fields(sections)
    problems: list[Problem] = []
    taken: dict[str, str] = {}
    for name, parameter in parameters.items():
        target = SHORT_NAMES.get(name, name)
        if target in taken:
            message = f"is the same field as '{taken[target]}'; give it once"
            problems.append(Problem(f"search.{name}", message))
            continue
        taken[target] = name
        problems += _check_parameter(name, parameter, owners, sections)
    return problems


def searchable_fields(sections: Mapping[str, Any]) -> Owners:
    """Every field that can be searched, by its dotted name: the section that it belongs to."""
    owners: Owners = {}
    teacher = sections.get("teacher")
    holders = {key: sections[key] for key in _SEARCHED_WHOLE if key in sections}
    if teacher is not None:
        holders |= {"teacher.model": teacher.model, "teacher.training": teacher.training}
    for key, section in holders.items():
        fields = type(section).model_fields
        owners.update((f"{key}.{f}", section) for f in fields if f not in _NOT_SEARCHED)
    if "data" in sections:
        owners["data.train_fraction"] = sections["data"]
    return owners


def _check_parameter(
    name: str, parameter: SearchParameter, owners: Owners, sections: Mapping[str, Any]
) -> Iterator[Problem]:
    target = SHORT_NAMES.get(name, name)
    key = f"search.{name}"
    if parameter.role == "scientific" and parameter.values and len(parameter.values) < 2:
        message = (
            "a scientific parameter needs at least two values; or `role: fixed`, `value: ...`"
        )
        yield Problem(f"{key}.values", message)
    if target in owners:
        yield from _check_values(name, parameter, owners[target])
    elif not _is_option(target, sections) and not _may_be_known(target, sections):
        loss = sections.get("distillation")
        if loss is not None and target.startswith("distillation."):
            yield _not_of_the_loss(name, target, loss, owners)
        else:
            yield _unknown_name(name, owners)


def _is_option(target: str, sections: Mapping[str, Any]) -> bool:
    """Whether `target` is a keyword argument of the user's own code, which only it can check."""
    head, dot, option = target.partition(".options.")
    if not dot or not option.isidentifier():
        return False
    if head in ("student", "distillation"):
        return isinstance(sections.get(head), ImportModel | ImportDistillation)
    teacher = sections.get("teacher")
    return (
        head == "teacher.model" and teacher is not None and isinstance(teacher.model, ImportModel)
    )


def _may_be_known(target: str, sections: Mapping[str, Any]) -> bool:
    """Whether `target` is in a section that is invalid, so that nothing is known of its fields."""
    root, _, leaf = target.partition(".")
    is_forbidden = leaf.rpartition(".")[2] in _NOT_SEARCHED or target == "teacher.members"
    return bool(leaf) and root in _ROOTS and root not in sections and not is_forbidden


def _unknown_name(name: str, owners: Owners) -> Problem:
    leaf = name.rpartition(".")[2]
    short = {target: short for short, target in SHORT_NAMES.items()}
    names = [*SHORT_NAMES, *(target for target in owners if target not in short)]
    if leaf == "seed":
        message = (
            "a seed is a replicate, never a search dimension; confirm.replicates sets how many "
            "seeds are run"
        )
    elif name == "teacher.members":
        message = "cannot be searched: the bank is trained once; search ensemble_size instead"
    elif ".options." in name:
        message = (
            "options belong to a student, teacher.model or distillation of `kind: import`, by "
            "their name"
        )
    elif leaf in _NOT_SEARCHED:
        message = f"'{name}' cannot be searched; set it in its section, one study for each"
    else:
        hint = did_you_mean(name, [*names, *owners])
        same_leaf = [n for n in names if n.rpartition(".")[2] == leaf]
        if same_leaf and not hint:
            hint = f"did you mean '{same_leaf[0]}'? "
        message = (
            f"no field is called {show(name)}; {hint}allowed are {choices(SHORT_NAMES)}, and "
            "dotted fields such as student.depth, training.weight_decay, teacher.model.width "
            "and data.train_fraction"
        )
    return Problem(f"search.{name}", message)


def _not_of_the_loss(name: str, target: str, loss: DistillationConfig, owners: Owners) -> Problem:
    """A field of some loss that the study's loss does not have."""
    own = [n for n in owners if n.startswith("distillation.")]
    if isinstance(loss, ImportDistillation):
        own.append("distillation.options.NAME")
    hint = "" if name in SHORT_NAMES else did_you_mean(target, own)
    message = (
        f"the loss of `kind: {loss.kind}` has no such field; {hint}allowed are {choices(own)}"
    )
    return Problem(f"search.{name}", message)


def _check_values(name: str, parameter: SearchParameter, owner: Section) -> Iterator[Problem]:
    field = SHORT_NAMES.get(name, name).rpartition(".")[2]
    words = _words(type(owner).model_fields[field].annotation)
    if words and parameter.is_range:
        message = f"is not a number, so it has no range; give values: [{', '.join(words)}]"
        yield Problem(f"search.{name}", message)
        return
    complaints = 0
    for key, value in parameter.given():
        problem = _value_problem(owner, field, value)
        if problem is not None:
            complaints += 1
            yield Problem(f"search.{name}.{key}", problem)
    low, step = parameter.low, parameter.step
    if not complaints and low is not None and step is not None:
        problem = _value_problem(owner, field, low + step)
        if problem is not None:
            message = f"a step of {step} from {low} leads to {low + step}, which {problem}"
            yield Problem(f"search.{name}.step", message)


def _value_problem(owner: Section, field: str, value: Any) -> str | None:
    """What the field's own validation says of `value`."""
    try:
        type(owner).model_validate(owner.model_dump() | {field: value})
    except ValidationError as error:
        return describe([*error.errors(include_url=False)], value)
    return None


def _words(annotation: Any) -> list[str]:
    """The words that a field chooses from; empty if it is a number."""
    for part in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(part) is typing.Literal:
            return [str(word) for word in typing.get_args(part)]
    return []


def numbers_given(
    search: Mapping[str, SearchParameter], target: str
) -> list[tuple[str, str, float]]:
    """Name, key and value of every number given for the field `target`."""
    found: list[tuple[str, str, float]] = []
    for name, parameter in search.items():
        if SHORT_NAMES.get(name, name) == target:
            found += [
                (name, key, value)
                for key, value in parameter.given()
                if isinstance(value, int | float) and not isinstance(value, bool)
            ]
    return found


def is_integer_field(name: str, sections: Mapping[str, Any]) -> bool | None:
    """Whether a search parameter's field takes whole numbers only; None if nothing is known."""
    target = SHORT_NAMES.get(name, name)
    owner = searchable_fields(sections).get(target)
    if owner is None:
        return None
    annotation = type(owner).model_fields[target.rpartition(".")[2]].annotation
    return int in {annotation, *map(_bare, typing.get_args(annotation))}


def _bare(annotation: Any) -> Any:
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
