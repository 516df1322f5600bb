"""What every section of the study file has in common."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str
"""A value that a setting can take: what YAML calls a scalar, `null` excepted."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
PositiveInt = Annotated[int, Field(ge=1)]
PositiveFloat = Annotated[float, Field(gt=0.0)]
NonNegativeFloat = Annotated[float, Field(ge=0.0)]
Target = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""`module:callable`, the one way to name code in a study file."""


class Section(BaseModel):
    """A frozen section of the study file that refuses unknown keys and sloppy types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    LATER: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after version 0.1, which changed nothing by their defaults. Of addresses
    alone: how stored studies of before are read is said in `study.storage.upgrade`."""

    def identity(self, *, exclude: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The section for content addresses.

        Later fields are left out at their defaults, so that what was cached before they came keeps
        its address.
        """
        fields = type(self).model_fields
        unused = {name for name in self.LATER if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude=set(exclude | unused))

    def __hash__(self) -> int:
        """By content, mappings included, so that sections can be cached by."""
        return hash(self.model_dump_json())
