"""The records that trials write and that analysis, export and MLflow read."""

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from kdsearch.config import needs_teacher

Scalar = bool | int | float | str
Stage = Literal["search", "confirm"]
Arm = Literal["distilled", "baseline"]
State = Literal["RUNNING", "COMPLETE", "PRUNED", "FAIL"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EpochMetrics(_Record):
    """One epoch of one student. Losses are cross-entropies in nats; the rest are fractions."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"accuracy", "loss", "agreement"})
    """Names of the metrics that every epoch is measured by."""

    epoch: int
    """1 for the first."""
    train_loss: float
    """Mean of the distillation loss over the epoch's batches."""
    val_accuracy: float
    val_loss: float
    val_agreement: float
    """Share of samples where student and full teacher ensemble name the same class."""
    learning_rate: float
    """Step size of the epoch's last step."""
    more: dict[str, float] = {}
    """Validation metrics by name, beside those that every epoch has: what ranks the epochs."""

    def value(self, metric: str) -> float | None:
        """A validation metric by its name; None where it was not measured."""
        if metric in self.ALWAYS:
            return getattr(self, f"val_{metric}")
        return self.more.get(metric)


class Evaluation(_Record):
    """A trained model on one split."""

    FIELDS: ClassVar[tuple[str, ...]] = (
        "accuracy", "loss", "agreement", "teacher_kl", "ece", "brier",
    )  # fmt: skip
    """Names of the metrics that are fields: those of the first version."""

    accuracy: float
    loss: float
    """Cross-entropy (NLL) in nats."""
    agreement: float
    """Share of samples where model and full teacher ensemble name the same class."""
    teacher_kl: float
    """KL(ensemble || model) at temperature 1, in nats, mean over samples."""
    ece: float
    """Expected calibration error, 15 equal-width bins of confidence."""
    brier: float
    """Brier score: squared distance of probabilities to the one-hot label, mean over samples."""
    num_samples: int
    more: dict[str, float] = {}
    """All other metrics by name, the user's own too, as far as they are finite numbers."""

    def value(self, metric: str) -> float | None:
        """A metric by its name; None where it was not measured."""
        return getattr(self, metric) if metric in self.FIELDS else self.more.get(metric)


class Outcome(_Record):
    """What came of training one student."""

    state: State
    num_params: int | None = None
    macs: int | None = None
    """Multiply-accumulates of one sample's forward pass."""
    size_bytes: int | None = None
    epochs: int = 0
    """Epochs trained (early stopping and pruning make it smaller)."""
    best_epoch: int | None = None
    """The epoch whose weights were kept."""
    train_seconds: float | None = None
    val: Evaluation | None = None
    """Validation at the best epoch; for a pruned trial, what its last rung knew."""
    test: Evaluation | None = None
    """Confirm stage only."""
    test_correct: str | None = None
    """Confirm stage only: per-example correctness, numpy.packbits, base64."""
    history: tuple[EpochMetrics, ...] = ()
    failure: str | None = None
    """Why a FAIL failed, in one sentence."""


class TrialRecord(Outcome):
    """One trained student: who it is, and what came of it."""

    study: str
    stage: Stage
    arm: Arm
    trial: int
    """Number of the search trial; for confirm, of the one whose settings are confirmed."""
    replicate: int
    """1, 2, ... for the fresh seeds of the confirm stage; in the search 0, and 1, 2, ... for
    trials that repeat another's settings on another seed."""
    repeats: int | None = None
    """Search stage: number of the trial whose settings this one repeats."""
    searched: int | None = None
    """Confirm stage: trials of its stratum and arm that the settings were chosen from."""
    candidates: tuple[int, ...] = ()
    """Confirm stage: numbers of all trials whose settings were confirmed with this one's, the most
    promising first; empty if it was alone."""
    settings: dict[str, Scalar]
    """Value of every searched or fixed parameter that applies to the arm, by its name."""
    stratum: dict[str, Scalar]
    """The scientific parameters among the settings; empty if the study has none."""
    temperature: float | None = None
    """None in the baseline arm, and where the loss has none."""
    alpha: float | None
    """Weight of the hard loss, 1 in the baseline arm; None where the loss has none."""
    width: int
    ensemble_size: int | None = None
    """None in the baseline arm."""
    learning_rate: float
    seed: int
    """Training seed: initial weights and batch order derive from it."""
    mlflow_run_id: str | None = None
    optuna_study: str | None = None
    """The Optuna study that holds the trial."""
    optuna_trial: int | None = None
    """Its number there."""

    @property
    def is_taught(self) -> bool:
        """Whether the student hears its teachers: not in the baseline arm, nor at alpha 1."""
        return self.arm == "distilled" and needs_teacher(self.alpha)

    @property
    def key(self) -> str:
        """Names the student in its study: stage/arm/trial/replicate."""
        return f"{self.stage}/{self.arm}/{self.trial}/{self.replicate}"


class TeacherRecord(_Record):
    """One member of a teacher bank."""

    member: int
    """1 for the first."""
    key: str
    """Content address in the cache."""
    model: str
    """Architecture in words, such as `conv1d width 64 depth 3`."""
    num_params: int
    macs: int
    size_bytes: int
    epochs: int
    train_seconds: float
    val: Evaluation
    test: Evaluation | None = None
    """Known after the confirm stage."""
    mlflow_run_id: str | None = None


class EnsembleRecord(_Record):
    """Members 1..size of a bank, averaged."""

    size: int
    val: Evaluation
    test: Evaluation | None = None
    test_correct: str | None = None


class TeacherBankRecord(_Record):
    """The teachers of one bank and the ensembles they make."""

    key: str
    """Content address of the bank."""
    settings: dict[str, Scalar] = {}
    """The searched teacher fields that tell this bank from the study's others."""
    members: tuple[TeacherRecord, ...]
    ensembles: tuple[EnsembleRecord, ...]
    """One for each size 1..members."""
    num_classes: int | None = None
    """Of the data; None where an older version wrote the record."""
