"""Fully connected networks: D - width x depth - C."""

import itertools
import math

import torch
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


class RegularizedMlp(nn.Module):
    """`Mlp` with dropout and a largest norm of each hidden unit's incoming weights.

    Hinton et al. 2012 and Srivastava et al. 2014: units are left out by chance in training and
    scaled by 1 / (1 - rate) where they stay; `constrain`, called after each step of the
    optimizer, scales rows of hidden matrices back to `max_norm`. In eval mode it computes what an
    `Mlp` of the same weights does, and its weights have the same names.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        num_classes: int,
        width: int,
        depth: int,
        dropout: float,
        input_dropout: float,
        max_norm: float | None,
    ) -> None:
        super().__init__()
        plain = Mlp(input_shape=input_shape, num_classes=num_classes, width=width, depth=depth)
        self.hidden, self.readout = plain.hidden, plain.readout
        self.input_dropout, self.dropout = nn.Dropout(input_dropout), nn.Dropout(dropout)
        self._max_norm = max_norm

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C] of a batch [B, *input_shape]."""
        h = self.input_dropout(x.flatten(1))
        for layer in self.hidden:
            h = self.dropout(layer(h).relu())
        return self.readout(h)

    @torch.no_grad()
    def constrain(self) -> None:
        """Scale incoming weights of hidden units that are too long back to the largest norm."""
        if self._max_norm is None:
            return
        for layer in self.hidden:
            assert isinstance(layer, nn.Linear)
            norms = layer.weight.norm(dim=1, keepdim=True)
            layer.weight.mul_((self._max_norm / norms.clamp_min(1e-12)).clamp_max(1.0))
