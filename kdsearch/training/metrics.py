"""The functions of the table of metrics. Shapes: N samples, C classes.

Logits, labels and, where the entry in `kdsearch.config.metric` says so, the teachers' logits go
in. They equal scikit-learn's where it has them (tested). Those would cost every worker process
1.7 s of import, and an AUROC of 800 to 10,000 samples of 10 classes 7 to 34 ms, not 0.6 to 9.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ECE_BINS = 15
"""As in Guo et al. 2017."""


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of samples whose most likely class is the label."""
    return share_of(logits.argmax(dim=1) == labels)


def loss(logits: Tensor, labels: Tensor) -> float:
    """Cross-entropy (NLL) in nats, mean over samples."""
    return float(F.nll_loss(F.log_softmax(logits, dim=1), labels))


def agreement(logits: Tensor, labels: Tensor, teacher_logits: Tensor) -> float:
    """Share of samples where model and teachers name the same class, right or wrong."""
    return share_of(logits.argmax(dim=1) == teacher_logits.argmax(dim=1))


def teacher_kl(logits: Tensor, labels: Tensor, teacher_logits: Tensor) -> float:
    """KL(teachers || model) at temperature 1, in nats, mean over samples."""
    told, known = F.log_softmax(logits, dim=1), F.log_softmax(teacher_logits, dim=1)
    return float(F.kl_div(told, known, reduction="batchmean", log_target=True))


def brier(logits: Tensor, labels: Tensor) -> float:
    """Squared distance of probabilities to the one-hot label, mean over samples (Brier 1950)."""
    one_hot = F.one_hot(labels, logits.shape[1])
    return float((probabilities(logits) - one_hot).square().sum(dim=1).mean())


def ece(logits: Tensor, labels: Tensor) -> float:
    """`expected_calibration_error` of the logits' probabilities."""
    return expected_calibration_error(probabilities(logits), labels)


def balanced_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Mean over the classes that occur of the share of their samples that is recognised."""
    table = confusion_table(logits, labels)
    occurring = table.sum(dim=1)
    seen = occurring > 0
    return float((table.diag()[seen] / occurring[seen]).mean())


def f1_macro(logits: Tensor, labels: Tensor) -> float:
    """Mean over classes of F1 = 2 TP / (2 TP + FP + FN); a class that nobody names counts 0.

    Classes that neither occur nor are named have no F1 and do not count.
    """
    table = confusion_table(logits, labels)
    either = table.sum(dim=1) + table.sum(dim=0)
    seen = either > 0
    return float((2 * table.diag()[seen] / either[seen]).mean())


def auroc(logits: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve, each class against the rest, mean over classes.

    From the ranks of the class's own samples among all, equals sharing their mean rank (Mann and
    Whitney 1947). Classes that no sample or every sample has are left out; NaN if all are.
    """
    # In double precision: in single, confident models tie at probability 1.
    probs = logits.double().softmax(dim=1).T.contiguous()
    ordered, order = probs.sort(dim=1)
    is_own = F.one_hot(labels, logits.shape[1]).T.gather(1, order).double()
    place = torch.arange(len(labels), device=logits.device).expand_as(order)
    ends = torch.ones_like(order, dtype=torch.bool)
    ends[:, :-1] = ordered[:, 1:] > ordered[:, :-1]
    below = torch.where(ends.roll(1, dims=1), place, 0).cummax(dim=1).values
    upto = torch.where(ends, place + 1, len(labels)).flip(1).cummin(dim=1).values.flip(1)
    own = is_own.sum(dim=1)
    others = len(labels) - own
    rank_sum = (is_own * (below + upto + 1)).sum(dim=1) / 2
    wins = rank_sum - own * (own + 1) / 2
    return float((wins / (own * others))[(own > 0) & (others > 0)].mean())


FUNCTIONS: dict[str, Callable[..., float]] = {
    function.__name__: function
    for function in (
        accuracy,
        loss,
        agreement,
        balanced_accuracy,
        f1_macro,
        auroc,
        brier,
        ece,
        teacher_kl,
    )
}
"""By the metric's name."""


def probabilities(logits: Tensor) -> Tensor:
    """Softmax [N, C]."""
    return F.log_softmax(logits, dim=1).exp()


def share_of(flags: Tensor) -> float:
    """Share of true values among flags [N], exact in double precision."""
    return int(flags.sum()) / len(flags)


def confusion_table(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts [C, C] of samples by label and most likely class, float64."""
    classes = logits.shape[1]
    pairs = labels * classes + logits.argmax(dim=1)
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes).double()


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
