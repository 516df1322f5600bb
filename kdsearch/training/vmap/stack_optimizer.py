"""The optimizers of P students as a few element-wise operations, equal to PyTorch's formulas.

P students, M trained numbers of a student.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kdsearch.config import TrainingConfig
from kdsearch.training.optimizer import SGD_MOMENTUM, schedule_factor

ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
"""PyTorch's defaults, which the reference loop has."""


class StackOptimizer:
    """Adam, AdamW or SGD with rates, decays and moments of its own for each student."""

    def __init__(self, configs: Sequence[TrainingConfig], factors: Tensor | None, like: Tensor):
        """Start from zero moments.

        Args:
            configs: Each student's settings; one kind of optimizer for all.
            factors: By how much each number's rate is multiplied [P, M] (muP); None for 1.
            like: What will be stepped, [P, M].
        """
        self._configs = tuple(configs)
        self._kind = configs[0].optimizer
        self._factors = factors
        self._decay = like.new_tensor([[c.weight_decay] for c in configs])
        self._decays = any(c.weight_decay > 0 for c in configs)
        self.moments = (torch.zeros_like(like), torch.zeros_like(like))
        """[P, M] each; the second stays zero with SGD."""
        self.steps = [0] * len(configs)
        """How often each student has been stepped."""

    def plan(self, epochs: Sequence[int], num_steps: int) -> Tensor:
        """The numbers that the steps of an epoch need, in one transfer to the device.

        Args:
            epochs: That each student has done before.
            num_steps: Steps of this epoch, all of which must now be taken.

        Returns:
            [num_steps, 3, P, 1]: rate, and the two bias corrections of Adam.
        """
        table = torch.ones(num_steps, 3, len(self._configs), 1, dtype=torch.float64)
        for row, (config, epoch) in enumerate(zip(self._configs, epochs, strict=True)):
            counts = self.steps[row] + torch.arange(1, num_steps + 1, dtype=torch.float64)
            factors = [schedule_factor(config, epoch + i / num_steps) for i in range(num_steps)]
            table[:, 0, row, 0] = config.learning_rate * table.new_tensor(factors)
            for place, beta in enumerate(ADAM_BETAS, start=1):
                table[:, place, row, 0] = 1 - beta**counts
            self.steps[row] += num_steps
        table[:, 2].sqrt_()
        return table.to(self._decay)

    @torch.no_grad()
    def step(self, weights: Tensor, grads: Tensor, numbers: Tensor) -> None:
        """Move `weights` in place.

        Args:
            weights: [P, M].
            grads: [P, M]; overwritten.
            numbers: [3, P, 1], one step of the plan.
        """
        rate, first_correction, second_correction = numbers
        if self._factors is not None:
            rate = rate * self._factors
        first, second = self.moments
        if self._kind == "adamw":
            weights.mul_(1 - rate * self._decay)
        elif self._decays:
            grads.addcmul_(weights, self._decay)
        if self._kind == "sgd":
            first.mul_(SGD_MOMENTUM).add_(grads)
            weights.sub_(grads.add_(first, alpha=SGD_MOMENTUM).mul_(rate))
            return
        first.lerp_(grads, 1 - ADAM_BETAS[0])
        second.mul_(ADAM_BETAS[1]).addcmul_(grads, grads, value=1 - ADAM_BETAS[1])
        denominator = torch.sqrt(second).div_(second_correction).add_(ADAM_EPS)
        weights.sub_((first / denominator).mul_(rate / first_correction))
