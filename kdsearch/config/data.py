"""`data:` - where the samples come from and how they are split."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from kdsearch.config.base import OpenFraction, Scalar, Section, Target


class AugmentConfig(Section):
    """`data.augment:`, `teacher.augment:` - fixed views of the training samples.

    Validation and test stay as they are. Epoch e sees view (e - 1) mod `views`. A view follows
    from the data's seed alone, so that teachers and students, in all processes and studies, see
    the same samples.
    """

    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Samples are moved by up to so many places in each spatial direction; zeros fill the edge."""
    flip: bool = False
    """Whether every second sample, by chance, is mirrored along its last axis."""
    transform: Target | None = None
    """Your own, before the two above: `module:callable`, called as `f(x, generator=...)`."""
    views: Annotated[int, Field(ge=1, le=1000)] = 8
    """How many there are; the teachers' logits are cached for each."""


class TransferConfig(Section):
    """`data.transfer:` - what students are taught on, where teachers saw other samples.

    Validation and test stay whole, and so does what teachers are trained on.
    """

    omit_classes: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False, min_length=1)
    ]
    """Labels of which students see no sample: what they know of them comes from the teachers'
    soft targets alone (Hinton, Vinyals and Dean 2015 leave out every 3 of MNIST)."""


class _Data(Section):
    LATER: ClassVar[frozenset[str]] = frozenset({"transfer"})

    val_fraction: OpenFraction = 0.2
    """Share of the training samples that becomes the validation set; stratified by class."""
    test_fraction: OpenFraction = 0.2
    """Share that becomes the test set where the source has no test set of its own."""
    train_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the training set that students see; validation and test stay whole."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the splits. Studies with the same data section share their teachers."""
    augment: AugmentConfig | None = None
    """Augmentation of the training samples; none if left out."""
    transfer: TransferConfig | None = None
    """What students see, where that is not what their teachers saw."""

    @property
    def is_part(self) -> bool:
        """Whether students see only a part of the training samples."""
        return self.train_fraction < 1 or self.transfer is not None

    def whole(self) -> Self:
        """The same with all training samples."""
        return self.model_copy(update={"train_fraction": 1.0, "transfer": None})


class DigitsData(_Data):
    """scikit-learn's 8x8 digits: 1,797 samples, 10 classes."""

    kind: Literal["digits"]


class Mnist1dData(_Data):
    """MNIST-1D (Greydanus 2020), generated: 40 values a sample, 10 classes."""

    kind: Literal["mnist1d"]
    train_samples: Annotated[int, Field(ge=100, le=1_000_000, multiple_of=10)] = 4000
    """Samples before the validation set is taken out; a multiple of 10."""
    test_samples: Annotated[int, Field(ge=100, le=1_000_000, multiple_of=10)] = 10_000
    """Size of the test set; a multiple of 10."""


class IdxData(_Data):
    """Four MNIST-format files (train/t10k, images/labels; gzipped or not) in one folder."""

    kind: Literal["idx"]
    root: str
    """The folder."""


class MnistData(_Data):
    """MNIST: `$KDSEARCH_DATA/mnist`, else fetched from OpenML once and cached."""

    kind: Literal["mnist"]


class FashionMnistData(_Data):
    """Fashion-MNIST: `$KDSEARCH_DATA/fashion_mnist`, Debian's package, else OpenML."""

    kind: Literal["fashion_mnist"]


class NpzData(_Data):
    """A NumPy archive with arrays `x`, `y` and optionally `x_test`, `y_test`."""

    kind: Literal["npz"]
    path: str
    """The file."""


class ImportData(_Data):
    """Your own: `module:callable` returning `(x, y)` or `(x, y, x_test, y_test)` as arrays."""

    kind: Literal["import"]
    target: Target
    """`module:callable`; the folder that the command runs in is importable."""
    options: Annotated[dict[str, Scalar], Field(default_factory=dict)]
    """Keyword arguments for the callable."""


DataConfig = Annotated[
    DigitsData | Mnist1dData | IdxData | MnistData | FashionMnistData | NpzData | ImportData,
    Field(discriminator="kind"),
]
