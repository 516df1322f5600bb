"""Which section model stands behind a dotted path of the study file."""

import types
import typing
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from kdsearch.config.base import Section
from kdsearch.config.study import StudyConfig

TAGGED = frozenset({("data",), ("student",), ("teacher", "model"), ("distillation",)})
"""The sections whose `kind` chooses the model."""


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The members of a (nested, annotated) union; the annotation itself if it is none."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return alternatives(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return tuple(a for arg in typing.get_args(annotation) for a in alternatives(arg))
    return (annotation,)


def kinds(annotation: Any) -> dict[str, type[Section]]:
    """The models that a `kind` chooses between, by kind."""
    found: dict[str, type[Section]] = {}
    for model in alternatives(annotation):
        if isinstance(model, type) and issubclass(model, Section):
            field = model.model_fields["kind"]
            found.update((kind, model) for kind in typing.get_args(field.annotation))
    return found


def model_at(path: tuple[str, ...], data: Any) -> type[Section] | None:
    """The model of the section at `path`; None where there is no section or no valid kind.

    Args:
        path: Keys from the top of the study file.
        data: The whole study file, not validated.
    """
    model: type[Section] | None = StudyConfig
    at: tuple[str, ...] = ()
    keys = list(path)
    while keys and model is not None:
        key = keys.pop(0)
        field = model.model_fields.get(key)
        data = data.get(key) if isinstance(data, dict) else None
        at = (*at, key)
        if field is None:
            return None
        if at in TAGGED:
            usual = getattr(field.default, "kind", None)
            kind = data.get("kind", usual) if isinstance(data, dict) else None
            model = kinds(field.annotation).get(kind) if isinstance(kind, str) else None
            continue
        if typing.get_origin(field.annotation) is dict and keys:
            name = keys.pop(0)
            data = data.get(name) if isinstance(data, dict) else None
            at = (*at, name)
        elif keys and keys[0].isdecimal():
            keys.pop(0)
        model = _section_of(field)
    return model


def _section_of(field: FieldInfo) -> type[Section] | None:
    for annotation in (*alternatives(field.annotation), *typing.get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, Section):
            return annotation
    return None


def lone_section(key: str) -> type[BaseModel]:
    """A model with one top-level key of the study file, which is thus validated on its own."""
    field = StudyConfig.model_fields[key]
    fields: dict[str, Any] = {key: (field.annotation, field)}
    return create_model(f"Lone_{key}", __base__=Section, **fields)


def homes_of(word: str) -> list[str]:
    """Dotted names of the section fields called `word`, for keys written at the wrong level."""
    found = []
    for path in (
        ("training",), ("budget",), ("sampler",), ("pruner",), ("confirm",), ("tracking",),
        ("study",), ("teacher",), ("data",), ("student",), ("teacher", "model"),
        ("data", "augment"), ("data", "transfer"), ("distillation",),
    ):  # fmt: skip
        field = StudyConfig.model_fields[path[0]]
        for key in path[1:]:
            section = _section_of(field)
            assert section is not None
            field = section.model_fields[key]
        models = list(kinds(field.annotation).values()) if path in TAGGED else []
        models += [section] if (section := _section_of(field)) else []
        if any(word in model.model_fields for model in models):
            found.append(".".join((*path, word)))
    return found
