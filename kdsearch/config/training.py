"""`training:` and `teacher.training:` - how one model is trained."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from kdsearch.config.base import NonNegativeFloat, PositiveFloat, PositiveInt, Section

EngineChoice = Literal["auto", "reference", "population"]


class TrainingConfig(Section):
    """How one model is trained. Every field can be searched as `training.FIELD`."""

    LATER: ClassVar[frozenset[str]] = frozenset({"keep"})

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    """Passes over the training set."""
    batch_size: PositiveInt = 128
    """Samples a step."""
    learning_rate: PositiveFloat = 1e-3
    """Peak step size of the optimizer."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """`sgd` uses Nesterov momentum 0.9."""
    weight_decay: NonNegativeFloat = 0.0
    """L2 penalty (adam, sgd) or decoupled decay (adamw)."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate over the epochs; `cosine` falls from its peak to 0."""
    warmup_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs over which the learning rate rises linearly to its peak."""
    patience: PositiveInt | None = None
    """Stop after this many epochs without a better validation score; null trains to the end."""
    keep: Literal["best", "last"] = "best"
    """The epoch whose weights are the result: the one that validates best, or the last."""
    lr_scaling: Literal["none", "mup"] = "none"
    """`mup` scales learning rates and initial readout with width (Tensor Programs V)."""
    mup_base_width: PositiveInt = 64
    """The width at which `mup` changes nothing."""
    engine: EngineChoice = "auto"
    """`population` trains many like students in one step (teachers: one each); `auto` measures if
    that is faster. On a CPU it pays for mlp and conv1d."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes a CUDA device where there is one."""
