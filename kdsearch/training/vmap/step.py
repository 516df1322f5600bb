"""One training step of a functional population, in memory that stays in place.

Everything that a step reads is copied to its place before, so that a CUDA graph can replay it.

P students, B batch, N samples, C classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdsearch.training.graph import StepGraph
from kdsearch.training.vmap.module_stack import ModuleStack
from kdsearch.training.vmap.stack_loss import StackLoss
from kdsearch.training.vmap.stack_optimizer import StackOptimizer


class FunctionalStep:
    """Gather a batch, then forward, loss, backward and update, for batches of one size."""

    def __init__(
        self,
        stack: ModuleStack,
        loss: StackLoss,
        optimizer: StackOptimizer,
        like: Tensor,
        *,
        batch_size: int,
        shared: bool,
    ) -> None:
        """Make room.

        Args:
            stack: What is trained.
            loss: Its loss.
            optimizer: Its optimizer.
            like: Samples [N, ...].
            batch_size: B.
            shared: Whether all students see one batch.
        """
        self._stack, self._loss, self._optimizer = stack, loss, optimizer
        self._shared = shared
        rows, sample = len(stack.flat), like.shape[1:]
        self._x = like.new_empty(1 if shared else rows, batch_size, *sample)
        self._labels = torch.zeros(rows, batch_size, dtype=torch.int64, device=like.device)
        self._targets = loss.room(batch_size)
        self._numbers = stack.flat.new_empty(3, rows, 1)
        records = like.device.type == "cuda" and loss.is_replayable
        self._graph = StepGraph(self._work, like.device) if records else None

    def run(self, samples: Sequence[Tensor], batch: Tensor, numbers: Tensor) -> None:
        """Train on one batch.

        Args:
            samples: [N, ...] for all, or by student.
            batch: Positions in them, [1, B] if shared, else [P, B].
            numbers: The optimizer's for this step, [3, P, 1].
        """
        for source, positions, place in zip(samples, batch, self._x, strict=True):
            torch.index_select(source, 0, positions, out=place)
        self._loss.look_up(batch, self._labels, self._targets)
        self._numbers.copy_(numbers)
        if self._graph is None:
            self._work()
        else:
            self._graph.run()

    def _work(self) -> None:
        x = self._x[0] if self._shared else self._x
        grads = self._stack.gradients(x, self._slope, shared=self._shared)
        self._optimizer.step(self._stack.flat, grads, self._numbers)

    def _slope(self, logits: Tensor, rows: slice) -> Tensor:
        return self._loss.slope(logits, self._labels, self._targets, rows)
