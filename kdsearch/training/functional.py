"""Students of any architecture that stacks in one step, equal to the reference loop.

They have one architecture and one width; each has its own temperature, alpha, ensemble size,
learning rate, weight decay and, if need be, order of samples. The forward pass is torch.func's
`vmap` over stacked weights; the gradient of the loss at the logits is the closed form that
`kdsearch.training.population` explains. No step waits for the device.

P students, B batch, N samples, C classes, M trained numbers of a student.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.config import DistillationConfig
from kdsearch.errors import DivergedError
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.loop import soft_targets
from kdsearch.training.module_stack import ModuleStack
from kdsearch.training.optimizer import schedule_factor
from kdsearch.training.population import Member
from kdsearch.training.row_optimizer import RowOptimizer

VAL_BATCH = 512


class FunctionalPopulation:
    """Students of one architecture and width, batch size and optimizer."""

    def __init__(
        self,
        members: Sequence[Member[nn.Module]],
        data: TrainingData,
        *,
        order_seeds: Sequence[int],
        width: int,
    ) -> None:
        """Stack the members; `load_row` puts those in their place that have trained before.

        Args:
            members: Their `training` may differ in everything but batch size and optimizer.
            data: What all see, on the device to train on.
            order_seeds: Decides each member's batches; equal seeds for all are faster.
            width: The models' width, for muP.
        """
        self.members = tuple(members)
        self._data = data
        self._orders = tuple(order_seeds) if len(set(order_seeds)) > 1 else (order_seeds[0],)
        self._batch_size = members[0].training.batch_size
        self._stack = ModuleStack([_scaled(m, width) for m in members])
        configs = [m.training for m in members]
        factors = _rate_factors(members, self._stack, width)
        self._optimizer = RowOptimizer(configs, factors, self._stack.flat.detach())
        self._seen = data
        self._loss: RowLoss | None = None

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """As `Population.epochs`."""
        while self.members[0].progress.epoch < until:
            epoch = self.members[0].progress.epoch
            yield self._validate(epoch, self._train_epoch(epoch))
            if any(m.progress.is_finished for m in self.members):
                return

    def row_state(self, row: int) -> dict[str, Any]:
        """All that one member needs to go on exactly, alone or in any population."""
        moments = [self._stack.numbers(flat, row) for flat in self._optimizer.moments]
        return {
            "weights": self._stack.take(row),
            "moments": [{name: v.clone() for name, v in named.items()} for named in moments],
            "steps": torch.tensor(self._optimizer.steps[row]),
            "progress": self.members[row].progress.state_dict(),
        }

    def load_row(self, row: int, state: dict[str, Any]) -> None:
        """Put a member in the place that `row_state` remembers."""
        self._stack.put(row, state["weights"])
        for flat, named in zip(self._optimizer.moments, state["moments"], strict=True):
            for name, view in self._stack.numbers(flat, row).items():
                view.copy_(named[name])
        self._optimizer.steps[row] = int(state["steps"])
        self.members[row].progress.load_state_dict(state["progress"])

    def _train_epoch(self, epoch: int) -> Tensor:
        """Mean training losses [P]."""
        data = self._data.at_epoch(epoch + 1)
        if self._loss is None or data is not self._seen:
            self._loss = RowLoss([m.distillation for m in self.members], data)
            self._seen = data
        num_samples, device = len(data.train_y), data.train_y.device
        orders = [epoch_order(seed, epoch + 1, num_samples) for seed in self._orders]
        shared = len(orders) == 1
        order = (orders[0] if shared else torch.stack(orders)).to(device)
        batches = order.split(self._batch_size, dim=-1)
        plan = self._optimizer.plan(epoch, len(batches))
        total = torch.zeros(len(self.members), dtype=torch.float64, device=device)
        for batch, numbers in zip(batches, plan, strict=True):
            logits = self._stack.forward(data.train_x[batch], shared=shared, training=True)
            slope, losses = self._loss.slope(logits.detach(), batch)
            (grads,) = torch.autograd.grad(logits, self._stack.flat, slope)
            self._optimizer.step(self._stack.flat, grads, numbers)
            total += losses
        return total / num_samples

    @torch.no_grad()
    def _validate(
        self, epoch: int, train_losses: Tensor
    ) -> dict[int, EpochMetrics | DivergedError]:
        data, teacher = self._data, self._data.teacher_val
        guesses = None if teacher is None else teacher.argmax(dim=1)
        sums = train_losses.new_zeros(3, len(self.members))
        for x, y, guess in zip(
            data.val_x.split(VAL_BATCH),
            data.val_y.split(VAL_BATCH),
            (data.val_y if guesses is None else guesses).split(VAL_BATCH),
            strict=True,
        ):
            logits = self._stack.forward(x, shared=True, training=False)
            predicted = logits.argmax(dim=2)
            picked = logits.gather(2, y.expand(len(logits), -1).unsqueeze(2)).squeeze(2)
            sums[0] += (predicted == y).sum(dim=1)
            sums[1] += (logits.logsumexp(dim=2) - picked).sum(dim=1)
            if guesses is not None:
                sums[2] += (predicted == guess).sum(dim=1)
        shares = sums / len(data.val_y)
        numbers = torch.cat([train_losses.unsqueeze(0), shares]).T.tolist()
        return {row: self._told(row, epoch, *n) for row, n in enumerate(numbers)}

    def _told(
        self,
        row: int,
        epoch: int,
        train_loss: float,
        val_accuracy: float,
        val_loss: float,
        val_agreement: float,
    ) -> EpochMetrics | DivergedError:
        member = self.members[row]
        training = member.training
        for split, loss in (("training", train_loss), ("validation", val_loss)):
            if not math.isfinite(loss):
                return DivergedError(
                    f"the {split} loss became {loss} in epoch {epoch + 1} at learning rate "
                    f"{training.learning_rate:.3g}"
                )
        steps = math.ceil(len(self._data.train_y) / self._batch_size)
        last = schedule_factor(training, epoch + (steps - 1) / steps)
        metrics = EpochMetrics(
            epoch=epoch + 1,
            train_loss=train_loss,
            val_accuracy=val_accuracy,
            val_loss=val_loss,
            val_agreement=val_agreement,
            learning_rate=training.learning_rate * last,
        )
        member.progress.add(metrics, lambda: self._stack.take(row))
        return metrics


class RowLoss:
    """Loss and slope of all students for a batch."""

    def __init__(self, teach: Sequence[DistillationConfig], data: TrainingData) -> None:
        self._labels = data.train_y
        numbers = [[t.alpha, 1.0 if t.alpha == 1 else t.temperature] for t in teach]
        alpha, heat = data.train_x.new_tensor(numbers).T
        self._alpha, self._heat = alpha.view(-1, 1, 1), heat.view(-1, 1, 1)
        targets = [soft_targets(data, t) for t in teach]
        some = next((t for t in targets if t is not None), None)
        self._targets: Tensor | None = None
        """What teachers say [P, N, C]; zero, with a weight of zero, for those nobody teaches."""
        if some is not None:
            self._targets = torch.stack(
                [torch.zeros_like(some) if t is None else t for t in targets]
            )
            self._entropy = -torch.special.xlogy(self._targets, self._targets).sum(dim=2)

    def slope(self, logits: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """D mean loss / d logits [P, B, C], and the sums of the batch's losses [P].

        Args:
            logits: [P, B, C], without gradient.
            batch: Sample positions, [B] if shared, else [P, B].
        """
        alpha, heat = self._alpha, self._heat
        labels = self._labels[batch].expand(logits.shape[:2]).unsqueeze(2)
        log_probs = logits.log_softmax(dim=2)
        losses = -alpha * log_probs.gather(2, labels)
        slope = log_probs.exp_().mul_(alpha).scatter_add_(2, labels, -alpha.expand(labels.shape))
        if self._targets is not None:
            rows = torch.arange(len(logits), device=batch.device).unsqueeze(1)
            targets = self._targets[rows, batch]
            log_probs = (logits / heat).log_softmax(dim=2)
            cross_entropy = -(targets * log_probs).sum(dim=2, keepdim=True)
            entropy = self._entropy[rows, batch].unsqueeze(2)
            losses += (1 - alpha) * heat**2 * (cross_entropy - entropy)
            slope += log_probs.exp_().sub_(targets).mul_((1 - alpha) * heat)
        return slope.div_(batch.shape[-1]), losses.sum(dim=(1, 2)).double()


def _scaled(member: Member[nn.Module], width: int) -> nn.Module:
    """A member's model as built, its readout scaled where muP wants it."""
    if member.training.lr_scaling != "mup":
        return member.model
    model = copy.deepcopy(member.model)
    scale_readout(model, width=width, base_width=member.training.mup_base_width)
    return model


def _rate_factors(
    members: Sequence[Member[nn.Module]], stack: ModuleStack, width: int
) -> Tensor | None:
    """MuP's factor for each trained number [P, M]; None where nobody asks for it."""
    if all(m.training.lr_scaling != "mup" for m in members):
        return None
    factors = torch.ones_like(stack.flat, requires_grad=False)
    for row, member in enumerate(members):
        config = member.training
        if config.lr_scaling == "mup":
            by_name = mup_rate_factors(
                member.model,
                optimizer=config.optimizer,
                width=width,
                base_width=config.mup_base_width,
            )
            for name, view in stack.numbers(factors, row).items():
                view.fill_(by_name[name])
    return factors
