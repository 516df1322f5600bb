"""The study file's keys as a page of Markdown, from the models that check them.

`python -m kdsearch.config.reading.reference > docs/study-file.md`; a test keeps the page up to
date.
"""

import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kdsearch.config.data import AugmentConfig, DataConfig, TransferConfig
from kdsearch.config.distillation import DistillationConfig
from kdsearch.config.metric import METRICS, VALIDATION, ImportMetric
from kdsearch.config.model import ModelConfig
from kdsearch.config.saturation import LadderConfig, SaturationConfig
from kdsearch.config.search import (
    BudgetConfig,
    ConfirmConfig,
    Objective,
    PrunerConfig,
    SamplerConfig,
    SearchParameter,
)
from kdsearch.config.study import StudyConfig, TrackingConfig
from kdsearch.config.training import TrainingConfig
from kdsearch.config.trial import TeacherConfig

INTRODUCTION = """\
# The study file

Made from the models that check it (`python -m kdsearch.config.reading.reference`). Unknown keys,
wrong types and ranges that cannot work are all reported at once, with their line. A bound such as
`>= 1` is what is allowed; a key without a default must be given.

`search` maps a parameter's name to a [search parameter](#search). Names without a dot are
`temperature`, `alpha`, `ensemble_size`, `learning_rate` and `width`; any field of `student`,
`training`, `distillation`, `teacher.model` and `teacher.training`, and `data.train_fraction`, can
be searched by its dotted name. What is searched, or fixed with `{role: fixed, value: ...}`, takes
the place of the section's own value; where `temperature`, `alpha` or `ensemble_size` is neither,
it is what [distillation](#distillation) says.

**alpha weights the hard loss**: `loss = alpha * CE + (1 - alpha) * T^2 * KL`. 1 is training
without a teacher, 0 is the teacher alone. The baseline arm is trained on hard labels only,
whatever the loss.
"""

CHAPTERS: tuple[tuple[str, Any], ...] = (
    ("the file", StudyConfig),
    ("data", DataConfig),
    ("data.augment, teacher.augment", AugmentConfig),
    ("data.transfer", TransferConfig),
    ("teacher", TeacherConfig),
    ("student, teacher.model", ModelConfig),
    ("training, teacher.training", TrainingConfig),
    ("distillation", DistillationConfig),
    ("search", SearchParameter),
    ("objective", Objective),
    ("metrics", ImportMetric),
    ("sampler", SamplerConfig),
    ("pruner", PrunerConfig),
    ("budget", BudgetConfig),
    ("confirm", ConfirmConfig),
    ("study", SaturationConfig),
    ("study.ladder", LadderConfig),
    ("tracking", TrackingConfig),
)


def render_reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for title, section in CHAPTERS:
        parts.append(f"## {title}\n")
        if section is ImportMetric:
            parts.append(_metrics())
        kinds = _kinds(section)
        shared = _shared_fields(kinds)
        if len(kinds) > 1:
            parts += ["Every kind has these:\n", _table(kinds[0], shared)]
        for model in kinds:
            own = [name for name in model.model_fields if name not in shared or len(kinds) == 1]
            if len(kinds) > 1:
                kind = typing.get_args(model.model_fields["kind"].annotation)[0]
                parts.append(f"`kind: {kind}` - {_one_line(model.__doc__)}\n")
                own.remove("kind")
            if own:
                parts.append(_table(model, own))
    return "\n".join(parts)


def _metrics() -> str:
    rows = ["| metric | better is | unit | meaning |", "| --- | --- | --- | --- |"]
    for metric in METRICS.values():
        also = "" if metric.also is None else f" or `{metric.also}`"
        better = "more" if metric.direction == "maximize" else "less"
        rows.append(f"| `{metric.name}`{also} | {better} | {metric.unit} | {metric.words} |")
    return (
        f"An objective is one of these as `{VALIDATION}NAME`, on validation; `study.metric` is "
        "one by its name.\nA metric of your own is `metrics.NAME`, with the keys below: "
        "[how](extending/metric.md).\n\n" + "\n".join(rows) + "\n"
    )


def _kinds(section: Any) -> list[type[BaseModel]]:
    if isinstance(section, type):
        return [section]
    union = typing.get_args(section)[0]
    return list(typing.get_args(union))


def _shared_fields(kinds: list[type[BaseModel]]) -> list[str]:
    if len(kinds) == 1:
        return []
    return [
        name
        for name in kinds[0].model_fields
        if name != "kind"
        and all(name in kind.model_fields for kind in kinds)
        and len({_one_line(kind.model_fields[name].description) for kind in kinds}) == 1
    ]


def _table(model: type[BaseModel], names: list[str]) -> str:
    rows = ["| key | allowed | default | meaning |", "| --- | --- | --- | --- |"]
    for name in names:
        field = model.model_fields[name]
        cells = (f"`{name}`", _allowed(field), _default(field), _one_line(field.description))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _allowed(field: FieldInfo) -> str:
    words = list(_type_words(field.annotation))
    for bound, sign in (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<")):
        words += [f"{sign} {getattr(m, bound)}" for m in field.metadata if hasattr(m, bound)]
    return ", ".join(dict.fromkeys(words))


def _type_words(annotation: Any) -> Iterator[str]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        yield " / ".join(f"`{arg}`" for arg in args)
    elif origin in (typing.Union, types.UnionType):
        if all(isinstance(arg, type) and issubclass(arg, BaseModel) for arg in args):
            yield "section"
            return
        for arg in args:
            yield from _type_words(arg)
    elif origin is typing.Annotated:
        yield from _type_words(args[0])
    elif origin in (tuple, list):
        yield "list"
    elif origin is dict:
        yield "mapping"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "section"
    else:
        names = {int: "whole number", float: "number", str: "text", bool: "true / false"}
        yield names.get(annotation, "null")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.default
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return f"`{value}`"
    return "see below"


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    sys.stdout.write(render_reference())
