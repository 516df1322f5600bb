"""Fully connected networks: D - width x depth - C."""

import itertools
import math

from torch import Tensor, nn


class Mlp(nn.Module):
    """Input flattened, `depth` hidden layers of `width` ReLU units, linear readout."""

    def __init__(
        self, *, input_shape: tuple[int, ...], num_classes: int, width: int, depth: int
    ) -> None:
        super().__init__()
        sizes = [math.prod(input_shape), *[width] * depth]
        self.hidden = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in itertools.pairwise(sizes)
        )
        self.readout = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C] of a batch [B, *input_shape]."""
        h = x.flatten(1)
        for layer in self.hidden:
            h = layer(h).relu()
        return self.readout(h)
