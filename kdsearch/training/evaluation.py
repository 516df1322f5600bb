"""How good a model's logits are. Shapes: N samples, C classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.results import Evaluation

ECE_BINS = 15
"""As in Guo et al. 2017."""


def evaluate_logits(logits: Tensor, labels: Tensor, teacher_logits: Tensor) -> Evaluation:
    """Accuracy, fidelity and calibration on one split.

    Args:
        logits: [N, C] of the model.
        labels: Class indices [N].
        teacher_logits: [N, C] of the full teacher ensemble.
    """
    log_probs = F.log_softmax(logits, dim=1)
    teacher_log_probs = F.log_softmax(teacher_logits, dim=1)
    probs = log_probs.exp()
    one_hot = F.one_hot(labels, logits.shape[1])
    predicted = logits.argmax(dim=1)
    return Evaluation(
        accuracy=share_of(predicted == labels),
        loss=float(F.nll_loss(log_probs, labels)),
        agreement=share_of(predicted == teacher_logits.argmax(dim=1)),
        teacher_kl=float(
            F.kl_div(log_probs, teacher_log_probs, reduction="batchmean", log_target=True)
        ),
        ece=expected_calibration_error(probs, labels),
        brier=float((probs - one_hot).square().sum(dim=1).mean()),
        num_samples=len(labels),
    )


def share_of(flags: Tensor) -> float:
    """Share of true values among flags [N], exact in double precision."""
    return int(flags.sum()) / len(flags)


def expected_calibration_error(probs: Tensor, labels: Tensor) -> float:
    """Mean |accuracy - confidence| over 15 equal-width bins of confidence, weighted by size.

    Guo et al. 2017, equation 3.

    Args:
        probs: [N, C].
        labels: Class indices [N].
    """
    confidence, predicted = probs.max(dim=1)
    bins = (confidence * ECE_BINS).ceil().long().clamp(1, ECE_BINS) - 1
    gap = (predicted == labels).double() - confidence.double()
    sums = torch.zeros(ECE_BINS, dtype=torch.float64, device=probs.device)
    return float(sums.index_add_(0, bins, gap).abs().sum() / len(labels))
