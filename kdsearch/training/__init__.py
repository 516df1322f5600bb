"""One student: the readable reference loop, its optimizer, its checkpoints, its evaluation."""

from kdsearch.training.checkpoint import load_checkpoint, save_checkpoint
from kdsearch.training.data import TrainingData, epoch_order, select_device
from kdsearch.training.evaluation import evaluate_logits
from kdsearch.training.lone_run import LoneRun, gains_alone
from kdsearch.training.loop import StudentRun
from kdsearch.training.metrics import expected_calibration_error, share_of
from kdsearch.training.mlp.population import MlpPopulation
from kdsearch.training.optimizer import build_optimizer, schedule_factor
from kdsearch.training.population import PopulationStudent
from kdsearch.training.progress import Progress, val_accuracy
from kdsearch.training.views import EpochViews
from kdsearch.training.vmap.population import FunctionalPopulation
from kdsearch.training.vmap.stacking import is_stackable

__all__ = [
    "EpochViews",
    "FunctionalPopulation",
    "LoneRun",
    "MlpPopulation",
    "PopulationStudent",
    "Progress",
    "StudentRun",
    "TrainingData",
    "build_optimizer",
    "epoch_order",
    "evaluate_logits",
    "expected_calibration_error",
    "gains_alone",
    "is_stackable",
    "load_checkpoint",
    "save_checkpoint",
    "schedule_factor",
    "select_device",
    "share_of",
    "val_accuracy",
]
