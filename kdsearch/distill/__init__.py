"""Losses, ensembles, and the bank of teachers with its logits."""

from kdsearch.distill.bank import (
    FitMember,
    Teacher,
    TeacherBank,
    TeacherInterrupted,
    cached_teachers,
)
from kdsearch.distill.ensemble import EnsembleMode, ensemble_logits
from kdsearch.distill.fingerprint import state_hash
from kdsearch.distill.logits import CachedLogits, LogitsCache
from kdsearch.distill.losses.kd import distillation_loss, soft_target_loss, soften

__all__ = [
    "CachedLogits",
    "EnsembleMode",
    "FitMember",
    "LogitsCache",
    "Teacher",
    "TeacherBank",
    "TeacherInterrupted",
    "cached_teachers",
    "distillation_loss",
    "ensemble_logits",
    "soft_target_loss",
    "soften",
    "state_hash",
]
