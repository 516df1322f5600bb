"""Architectures with a width knob, and how big they are."""

from kdsearch.models.build import build_model, describe_model
from kdsearch.models.capacity import Capacity, count_capacity, count_model
from kdsearch.models.classifier import Classifier, Normalization, predict_logits
from kdsearch.models.scaling import mup_rate_factors, parameter_roles, scale_readout
from kdsearch.models.task import CLASSIFICATION, Classification

__all__ = [
    "CLASSIFICATION",
    "Capacity",
    "Classification",
    "Classifier",
    "Normalization",
    "build_model",
    "count_capacity",
    "count_model",
    "describe_model",
    "mup_rate_factors",
    "parameter_roles",
    "predict_logits",
    "scale_readout",
]
