"""What a model is for: what goes in, what comes out, and what a label says of it.

Classification is the first task and, so far, the only one. The next one is a class beside it. It
lies below losses and training, because both ask it: losses for the hard loss, training for the
metrics that apply. What still says "class" elsewhere, and would have to ask the task then, are the
checks of labels (`kdsearch.data.sources.raw`), `num_classes`, the loss of the populations, which
have the hard loss in closed form, and the temperature of `kdsearch.distill`.
"""

import torch.nn.functional as F
from torch import Tensor

from kdsearch.config import METRICS, Metric


class Classification:
    """One of C classes for each sample.

    Inputs are [B, *input_shape]: real numbers, normalised before the model sees them, or whole
    numbers such as token ids, as they are. Outputs are logits [B, C]; labels are class indices [B]
    from 0 to C - 1.
    """

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What outputs can be judged by: the whole table, which holds nothing else so far."""
        return tuple(METRICS.values())

    def hard_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy in nats, mean over the batch."""
        return F.cross_entropy(outputs, labels)


CLASSIFICATION = Classification()
"""The task of every study."""
