"""Ensembles of teachers. Shapes: K members, N samples, C classes.

Members are averaged, never summed: a sum of their losses would grow with K and so confound the
size of the ensemble with alpha. Ensembles are nested: size k means members 1..k of the bank.
"""

from typing import Literal, assert_never

import torch
from torch import Tensor

EnsembleMode = Literal["logit_mean", "prob_mean"]


def ensemble_logits(
    member_logits: Tensor, *, size: int, mode: EnsembleMode, temperature: float = 1.0
) -> Tensor:
    """Logits [N, C] whose softmax at `temperature` is the ensemble's prediction there.

    Args:
        member_logits: [K, N, C].
        size: Members to average, 1..K.
        mode: `logit_mean` averages logits, which does not depend on the temperature;
            `prob_mean` averages the members' probabilities at `temperature`.
        temperature: Above 0.

    Raises:
        ValueError: size is out of range.
    """
    if not 1 <= size <= len(member_logits):
        raise ValueError(f"ensemble size {size} is not in 1..{len(member_logits)}")
    members = member_logits[:size]
    match mode:
        case "logit_mean":
            return members.mean(dim=0)
        case "prob_mean":
            log_probs = torch.log_softmax(members / temperature, dim=-1)
            mean = torch.logsumexp(log_probs, dim=0) - torch.log(torch.tensor(float(size)))
            return temperature * mean
        case _:
            assert_never(mode)
