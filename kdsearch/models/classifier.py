"""What is trained, saved and handed to users: normalisation and a body, raw samples in."""

import torch
from torch import Tensor, nn


class Normalization(nn.Module):
    """(x - mean) / std with the training split's statistics as buffers.

    Whole numbers, such as token ids, pass as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Samples of the same shape, centred and scaled."""
        return (x - self.mean) / self.std if x.is_floating_point() else x


class Classifier(nn.Module):
    """Maps raw samples [B, *input_shape] to logits [B, C].

    Training normalises the resident data once and calls `body`; everyone else calls the whole.
    """

    def __init__(self, normalization: Normalization, body: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C]."""
        return self.body(self.normalization(x))


@torch.no_grad()
def predict_logits(model: nn.Module, x: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Logits [N, C] of `x` [N, ...] with `model` in eval mode; its mode is put back afterwards."""
    was_training = model.training
    model.eval()
    try:
        return torch.cat([model(batch) for batch in x.split(batch_size)])
    finally:
        model.train(was_training)
