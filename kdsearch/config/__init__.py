"""The study file as frozen models. Knows no torch, Optuna or MLflow."""

from kdsearch.config.base import Scalar
from kdsearch.config.data import (
    AugmentConfig,
    DataConfig,
    DigitsData,
    FashionMnistData,
    IdxData,
    ImportData,
    Mnist1dData,
    MnistData,
    NpzData,
)
from kdsearch.config.distillation import (
    HARD_LABELS,
    BuiltInDistillation,
    Distillation,
    DistillationConfig,
    ImportDistillation,
    KdDistillation,
    needs_teacher,
)
from kdsearch.config.metric import METRICS, ImportMetric, Metric
from kdsearch.config.model import CnnModel, Conv1dModel, ImportModel, MlpModel, ModelConfig
from kdsearch.config.reading.loading import load_study
from kdsearch.config.saturation import LadderConfig, SaturationConfig
from kdsearch.config.search import (
    BudgetConfig,
    ConfirmConfig,
    Objective,
    PrunerConfig,
    SamplerConfig,
    SearchParameter,
)
from kdsearch.config.study import StudyConfig, TrackingConfig, applies_to_baseline, baseline_strata
from kdsearch.config.training import EngineChoice, TrainingConfig
from kdsearch.config.trial import (
    SHORT_NAMES,
    TeacherConfig,
    TrialConfig,
    changes_student,
    field_of,
)

__all__ = [
    "HARD_LABELS",
    "METRICS",
    "SHORT_NAMES",
    "AugmentConfig",
    "BudgetConfig",
    "BuiltInDistillation",
    "CnnModel",
    "ConfirmConfig",
    "Conv1dModel",
    "DataConfig",
    "DigitsData",
    "Distillation",
    "DistillationConfig",
    "EngineChoice",
    "FashionMnistData",
    "IdxData",
    "ImportData",
    "ImportDistillation",
    "ImportMetric",
    "ImportModel",
    "KdDistillation",
    "LadderConfig",
    "Metric",
    "MlpModel",
    "Mnist1dData",
    "MnistData",
    "ModelConfig",
    "NpzData",
    "Objective",
    "PrunerConfig",
    "SamplerConfig",
    "SaturationConfig",
    "Scalar",
    "SearchParameter",
    "StudyConfig",
    "TeacherConfig",
    "TrackingConfig",
    "TrainingConfig",
    "TrialConfig",
    "applies_to_baseline",
    "baseline_strata",
    "changes_student",
    "field_of",
    "load_study",
    "needs_teacher",
]
