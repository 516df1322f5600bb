"""One training step of a population for batches of one size, in memory that stays in place.

On CUDA, everything that a step reads is copied to its place before, so that a graph of the step
can be replayed.

B batch, D inputs, N samples, U units of all students.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from kdsearch.training.data import TrainingData
from kdsearch.training.graph import StepGraph
from kdsearch.training.mlp.loss import PopulationLoss
from kdsearch.training.mlp.stack import Layout, MlpStack, Pass, UpperStack
from kdsearch.training.mlp.update import Update


class PopulationStep:
    """Gather the blocks' batches, then forward, loss, backward and update."""

    def __init__(
        self,
        layout: Layout,
        weights: MlpStack,
        grads: UpperStack,
        loss: PopulationLoss,
        update: Update,
        *,
        batch_size: int,
    ) -> None:
        device = weights.input.device
        self._pass = Pass(layout, weights, batch_size)
        self._loss, self._update, self._grads = loss, update, grads
        self._fixed = torch.empty_like(self._pass.logits)
        blocks = layout.blocks
        shape = (batch_size, layout.fan_in + 1)
        self._batches = [torch.ones(shape, device=device) for _ in blocks]
        """By block: samples with a last column of ones, [B, D + 1]."""
        self._inputs = [x[:, :-1] for x in self._batches]
        self._positions = [
            torch.zeros(batch_size, dtype=torch.int64, device=device) for _ in blocks
        ]
        self._samples: list[Tensor] = []
        self._graph: StepGraph | None = None

    def show(self, views: Sequence[TrainingData]) -> None:
        """Read samples from each block's view of the data from now on."""
        self._samples = [view.train_x.flatten(1) for view in views]
        device = self._fixed.device
        if device.type == "cuda":
            self._graph = StepGraph(functools.partial(self._work, self._positions), device)

    def run(self, positions: Sequence[Tensor]) -> None:
        """Train on the samples at these positions, [B] for each block."""
        if self._graph is None:
            self._work(positions)
            return
        for place, value in zip(self._positions, positions, strict=True):
            place.copy_(value)
        self._graph.run()

    def _work(self, positions: Sequence[Tensor]) -> None:
        for samples, at, x in zip(self._samples, positions, self._inputs, strict=True):
            torch.index_select(samples, 0, at, out=x)
        logits = self._pass.forward(self._batches)
        slope = self._loss.slope(logits, positions, self._fixed)
        down = self._pass.backward(slope, self._grads)
        self._update.apply(down, self._batches)
