"""`student:` and `teacher.model:` - an architecture with a width knob."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kdsearch.config.base import PositiveFloat, Scalar, Section, Target

Width = Annotated[int, Field(ge=1, le=65_536)]
DropoutRate = Annotated[float, Field(ge=0.0, lt=1.0)]


class _Model(Section):
    width: Width = 64
    """Units of a hidden layer, or channels of the first convolution."""


class MlpModel(_Model):
    """Fully connected, ReLU: input - width x depth - classes."""

    kind: Literal["mlp"]
    LATER: ClassVar[frozenset[str]] = frozenset({"dropout", "input_dropout", "max_norm"})

    depth: Annotated[int, Field(ge=1, le=16)] = 2
    """Number of hidden layers."""
    dropout: DropoutRate = 0.0
    """Chance that a hidden unit is left out of a training step (Srivastava et al. 2014)."""
    input_dropout: DropoutRate = 0.0
    """The same for each value of a sample."""
    max_norm: PositiveFloat | None = None
    """Largest norm of a hidden unit's incoming weights; each step ends by scaling back to it."""

    @property
    def is_regularized(self) -> bool:
        """Whether dropout or a largest norm plays a part in training."""
        return bool(self.dropout or self.input_dropout or self.max_norm)


class Conv1dModel(_Model):
    """1-D convolutions of stride 2 with batch normalisation; the last map is flattened."""

    kind: Literal["conv1d"]
    depth: Annotated[int, Field(ge=1, le=8)] = 3
    """Number of convolutions."""


class CnnModel(_Model):
    """2-D convolutions with pooling; channels double at each stage."""

    kind: Literal["cnn"]
    depth: Annotated[int, Field(ge=1, le=5)] = 2
    """Number of stages (convolution, batch normalisation, pooling)."""


class ImportModel(_Model):
    """Your own: `module:callable(input_shape, num_classes, width, **options) -> nn.Module`."""

    kind: Literal["import"]
    target: Target
    """`module:callable`; the folder that the command runs in is importable."""
    options: Annotated[dict[str, Scalar], Field(default_factory=dict)]
    """Further keyword arguments for the callable."""
    pretrained: bool = False
    """Teachers only: the callable returns a trained model, used as it is, on raw inputs."""


ModelConfig = Annotated[
    MlpModel | Conv1dModel | CnnModel | ImportModel, Field(discriminator="kind")
]
