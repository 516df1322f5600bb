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
from kdsearch.distill.losses.build import build_loss, prepared_rows, teacher_signals
from kdsearch.distill.losses.imported import try_out
from kdsearch.distill.losses.kd import distillation_loss, in_closed_form, soft_target_loss, soften
from kdsearch.distill.losses.transfer import Signal, TeacherSignals, TransferLoss

__all__ = [
    "CachedLogits",
    "EnsembleMode",
    "FitMember",
    "LogitsCache",
    "Signal",
    "Teacher",
    "TeacherBank",
    "TeacherInterrupted",
    "TeacherSignals",
    "TransferLoss",
    "build_loss",
    "cached_teachers",
    "distillation_loss",
    "ensemble_logits",
    "in_closed_form",
    "prepared_rows",
    "soft_target_loss",
    "soften",
    "state_hash",
    "teacher_signals",
    "try_out",
]
