"""Many MLP students in one step, equal to the reference loop and several times faster.

They share batches; each has its own width, temperature, alpha, ensemble size, learning rate and
weight decay.

P students, B batch, N samples, D inputs, C classes.

The gradient of the distillation loss in closed form, for logits z, temperature T and label y:

    d loss / dz = [alpha * (softmax(z) - onehot(y)) + (1 - alpha) * T * (softmax(z/T) - q)] / B

where q are the ensemble's softened probabilities. The parts that do not depend on z are fixed for
a sample and a student, so they are made once for all epochs and looked up by batch.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from kdsearch.config import DistillationConfig, TrainingConfig
from kdsearch.errors import DivergedError
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.loop import soft_targets
from kdsearch.training.optimizer import SGD_MOMENTUM, schedule_factor
from kdsearch.training.progress import Progress
from kdsearch.training.stack import Layout, MlpStack, Pass, layer_names, make_layout

VAL_BATCH = 512
ADAM_BETAS, ADAM_EPS = (0.9, 0.999), 1e-8
"""PyTorch's defaults, which the reference loop has."""


Body = TypeVar("Body", bound=nn.Module, covariant=True)


class Member(NamedTuple, Generic[Body]):
    """One student of a population."""

    model: Body
    """Its weights to begin with, as built from its seed; not changed."""
    training: TrainingConfig
    distillation: DistillationConfig
    progress: Progress


class Population:
    """Students that share batches: equal depth, batch size, optimizer and order of samples."""

    def __init__(
        self, members: Sequence[Member[Mlp]], data: TrainingData, *, order_seed: int
    ) -> None:
        """Stack the members; `load_row` puts those in their place that have trained before.

        Args:
            members: In ascending order of width; their `training` may differ in everything but
                batch size and optimizer.
            data: What all see, on the device to train on.
            order_seed: Decides the batches.
        """
        self.members = tuple(members)
        self._data = data
        self._order_seed = order_seed
        first = members[0]
        self._optimizer = first.training.optimizer
        self._batch_size = first.training.batch_size
        device = data.train_y.device
        num_classes, fan_in = first.model.readout.out_features, data.train_x[0].numel()
        self._layout = make_layout(
            [m.model.readout.in_features for m in members],
            depth=len(first.model.hidden),
            fan_in=fan_in,
            num_classes=num_classes,
        )
        self._weights = MlpStack(self._layout, device)
        self._grads = MlpStack(self._layout, device)
        self._moments = (MlpStack(self._layout, device), MlpStack(self._layout, device))
        self._steps = [torch.zeros((), device=device) for _ in members]
        self._bias_ratios = [bias_ratios(m) for m in members]
        for row, member in enumerate(members):
            self._weights.put(row, initial_weights(member))
        self._weights.fix_constants()
        self._views = [self._row_views(row) for row in range(len(members))]
        self._train_x = with_ones(data.train_x)
        self._val_x = with_ones(data.val_x)
        self._loss = PopulationLoss(members, data, num_classes)
        self._passes: dict[int, Pass] = {}

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """Train all members together up to epoch `until`.

        Yields, for each epoch, the metrics or the failure of each member by its row; a member
        that failed or has nothing left to train should be dropped (by building a population of
        the others) before going on.
        """
        while self.members[0].progress.epoch < until:
            epoch = self.members[0].progress.epoch
            losses = self._train_epoch(epoch)
            yield self._validate(epoch, losses)
            if any(m.progress.is_finished for m in self.members):
                return

    def row_state(self, row: int) -> dict[str, Any]:
        """All that one member needs to go on exactly, alone or in any population."""
        return {
            "weights": self._weights.take(row),
            "moments": [stack.take(row) for stack in self._moments],
            "steps": self._steps[row].clone(),
            "progress": self.members[row].progress.state_dict(),
        }

    def load_row(self, row: int, state: dict[str, Any]) -> None:
        """Put a member in the place that `row_state` remembers."""
        self._weights.put(row, state["weights"])
        for stack, named in zip(self._moments, state["moments"], strict=True):
            stack.put(row, named)
        self._steps[row].copy_(state["steps"])
        self.members[row].progress.load_state_dict(state["progress"])

    def _train_epoch(self, epoch: int) -> list[float]:
        num_samples = len(self._data.train_y)
        order = epoch_order(self._order_seed, epoch + 1, num_samples)
        batches = order.to(self._data.train_y.device).split(self._batch_size)
        total = torch.zeros(len(self.members), dtype=torch.float64)
        for index, batch in enumerate(batches):
            x = self._train_x.index_select(0, batch)
            run = self._pass(len(batch))
            logits = run.forward(self._weights, x)
            slope, loss = self._loss.slope(logits, batch)
            total += loss
            run.backward(self._weights, self._grads, x, slope)
            self._update(epoch + index / len(batches))
        return (total / num_samples).tolist()

    def _update(self, epochs_done: float) -> None:
        for row, member in enumerate(self.members):
            config = member.training
            rate = config.learning_rate * schedule_factor(config, epochs_done)
            ratios = self._bias_ratios[row]
            if ratios is None:
                self._step(row, self._views[row], rate)
            else:
                self._mup_step(row, rate, ratios)

    def _mup_step(self, row: int, rate: float, ratios: Sequence[tuple[float, float]]) -> None:
        for layer, (factor, bias_ratio) in enumerate(ratios):
            tensors = [views[layer : layer + 1] for views in self._views[row]]
            bias = tensors[0][0][:, -1]
            before = bias.clone()
            self._step(row, tensors, rate * factor, counts=layer == 0)
            # An update is proportional to its rate, so a bias with a rate of its own is moved
            # by the matrix's step times the ratio of the rates.
            bias.sub_(before).mul_(bias_ratio).add_(before)

    def _step(
        self, row: int, tensors: Sequence[list[Tensor]], rate: float, *, counts: bool = True
    ) -> None:
        weights, grads, first, second = tensors
        decay = self.members[row].training.weight_decay
        step = self._steps[row]
        if counts:
            step.add_(1)
        if self._optimizer == "sgd":
            torch._fused_sgd_(
                weights,
                grads,
                first,
                weight_decay=decay,
                momentum=SGD_MOMENTUM,
                lr=rate,
                dampening=0.0,
                nesterov=True,
                maximize=False,
                is_first_step=False,
            )
            return
        update = torch._fused_adamw_ if self._optimizer == "adamw" else torch._fused_adam_
        update(
            weights,
            grads,
            first,
            second,
            [],
            [step] * len(weights),
            lr=rate,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            weight_decay=decay,
            eps=ADAM_EPS,
            amsgrad=False,
            maximize=False,
        )

    def _row_views(self, row: int) -> tuple[list[Tensor], ...]:
        stacks = (self._weights, self._grads, *self._moments)
        return tuple(stack.row(row) for stack in stacks)

    def _pass(self, batch_size: int) -> Pass:
        if batch_size not in self._passes:
            device = self._data.train_y.device
            self._passes[batch_size] = Pass(self._layout, batch_size, device)
        return self._passes[batch_size]

    def _validate(
        self, epoch: int, losses: Sequence[float]
    ) -> dict[int, EpochMetrics | DivergedError]:
        sums = torch.zeros(3, len(self.members), dtype=torch.float64)
        labels, teacher = self._data.val_y, self._data.teacher_val
        guesses = None if teacher is None else teacher.argmax(dim=1)
        for chunk in torch.arange(len(labels), device=labels.device).split(VAL_BATCH):
            logits = self._pass(len(chunk)).forward(self._weights, self._val_x[chunk])
            predicted = logits.argmax(dim=1)
            wanted = labels[chunk].expand(len(logits), 1, -1)
            picked = logits.gather(1, wanted).squeeze(1)
            sums[0] += (predicted == labels[chunk]).sum(dim=1)
            sums[1] += (logits.logsumexp(dim=1) - picked).sum(dim=1)
            if guesses is not None:
                sums[2] += (predicted == guesses[chunk]).sum(dim=1)
        accuracy, loss, agreement = (sums / len(labels)).tolist()
        steps = math.ceil(len(self._data.train_y) / self._batch_size)
        outcome: dict[int, EpochMetrics | DivergedError] = {}
        for row, member in enumerate(self.members):
            if not (math.isfinite(losses[row]) and math.isfinite(loss[row])):
                outcome[row] = DivergedError(
                    f"the training loss became {losses[row]} in epoch {epoch + 1} at learning "
                    f"rate {member.training.learning_rate:.3g}"
                )
                continue
            last = schedule_factor(member.training, epoch + (steps - 1) / steps)
            metrics = EpochMetrics(
                epoch=epoch + 1,
                train_loss=losses[row],
                val_accuracy=accuracy[row],
                val_loss=loss[row],
                val_agreement=agreement[row],
                learning_rate=member.training.learning_rate * last,
            )
            member.progress.add(metrics, lambda row=row: self._weights.take(row))
            outcome[row] = metrics
        return outcome


class PopulationLoss:
    """Loss and slope of all students for a batch; see the formula at the top."""

    def __init__(
        self, members: Sequence[Member[Mlp]], data: TrainingData, num_classes: int
    ) -> None:
        device = data.train_y.device
        teach = [m.distillation for m in members]
        hard = torch.tensor([t.alpha for t in teach], device=device)
        heat = torch.tensor([t.temperature for t in teach], device=device)
        self._hard = hard.view(-1, 1, 1)
        """Weight of softmax(z), [P, 1, 1]."""
        self._soft = ((1 - hard) * heat).view(-1, 1, 1)
        """Weight of softmax(z / T)."""
        self._cooling = (1 / heat).view(-1, 1, 1)
        self._soft_scale = ((1 - hard) * heat**2).view(-1, 1)
        self._is_taught = any(t.alpha < 1 for t in teach)
        one_hot = torch.nn.functional.one_hot(data.train_y, num_classes).float()
        self._fixed = torch.empty(len(data.train_y), len(members), num_classes, device=device)
        """alpha * onehot + (1 - alpha) * T * q for each sample and student, [N, P, C]."""
        self._entropy = torch.zeros(len(data.train_y), len(members), device=device)
        """(1 - alpha) * T^2 * sum q log q, [N, P]: what makes the loss a KL divergence."""
        for row, t in enumerate(teach):
            self._fixed[:, row] = t.alpha * one_hot
            targets = soft_targets(data, t)
            if targets is not None:
                self._fixed[:, row] += (1 - t.alpha) * t.temperature * targets
                negative_entropy = torch.special.xlogy(targets, targets).sum(dim=1)
                self._entropy[:, row] = (1 - t.alpha) * t.temperature**2 * negative_entropy

    def slope(self, logits: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """D mean loss / d logits [P, C, B], and the sums of the batch's losses [P].

        Args:
            logits: [P, C, B]; overwritten.
            batch: Sample positions [B].
        """
        fixed = self._fixed[batch].permute(1, 2, 0)
        centred = logits.sub_(logits.amax(dim=1, keepdim=True))
        loss = -(fixed * centred).sum(dim=(1, 2))
        hot = centred.exp()
        hot_sum = hot.sum(dim=1, keepdim=True)
        loss += (self._hard.squeeze(2) * hot_sum.squeeze(1).log()).sum(dim=1)
        slope = hot.mul_(self._hard / hot_sum)
        if self._is_taught:
            cool = centred.mul_(self._cooling).exp_()
            cool_sum = cool.sum(dim=1, keepdim=True)
            loss += (self._soft_scale * cool_sum.squeeze(1).log()).sum(dim=1)
            loss += self._entropy[batch].sum(dim=0)
            slope = slope.add_(cool.mul_(self._soft / cool_sum))
        return slope.sub_(fixed).div_(len(batch)), loss.double().cpu()


def initial_weights(member: Member[Mlp]) -> dict[str, Tensor]:
    """A member's weights as built, its readout scaled where muP wants it."""
    model, config = member.model, member.training
    if config.lr_scaling != "mup":
        return dict(model.state_dict())
    scaled = copy.deepcopy(model)
    scale_readout(scaled, width=model.readout.in_features, base_width=config.mup_base_width)
    return dict(scaled.state_dict())


def bias_ratios(member: Member[Mlp]) -> list[tuple[float, float]] | None:
    """By layer: the matrix's rate factor, and its bias's factor over it; None without muP."""
    config, model = member.training, member.model
    if config.lr_scaling != "mup":
        return None
    factors = mup_rate_factors(
        model,
        optimizer=config.optimizer,
        width=model.readout.in_features,
        base_width=config.mup_base_width,
    )
    names = layer_names(len(model.hidden))
    return [(factors[f"{n}.weight"], factors[f"{n}.bias"] / factors[f"{n}.weight"]) for n in names]


@lru_cache(maxsize=4)
def with_ones(x: Tensor) -> Tensor:
    """Samples [N, ...] flattened, with a last column of ones: [N, D + 1].

    The same copy for the same tensor (tensors are hashed by identity), because a population is
    rebuilt whenever a student leaves it. Neither may be written to.
    """
    flat = x.flatten(1)
    return torch.cat([flat, flat.new_ones(len(flat), 1)], dim=1)


__all__ = ["Layout", "Member", "Population"]
