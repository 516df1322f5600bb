"""Students of any architecture that stacks in one step, equal to the reference loop.

They have one architecture and one width; each has its own temperature, alpha, ensemble size,
learning rate, weight decay and order of samples, and may be in an epoch of its own. The forward
pass is torch.func's `vmap` over stacked weights, on one batch if all see the same; on the CPU
conv1d has passes of its own (`kdsearch.training.vmap.conv1d_stack`).

P students, B batch, N samples, C classes, M trained numbers of a student.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.distill import in_closed_form
from kdsearch.errors import DivergedError
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.evaluation import LogitsByStudent
from kdsearch.training.mlp.population import Member
from kdsearch.training.optimizer import schedule_factor
from kdsearch.training.vmap.autograd_loss import AutogradLoss
from kdsearch.training.vmap.module_stack import ModuleStack
from kdsearch.training.vmap.row_loss import RowLoss, Targets
from kdsearch.training.vmap.row_optimizer import RowOptimizer
from kdsearch.training.vmap.stacking import build_stack
from kdsearch.training.vmap.step import FunctionalStep

VAL_BATCH = 512


class FunctionalPopulation:
    """Students of one architecture and width, batch size and optimizer."""

    def __init__(
        self, members: Sequence[Member[nn.Module]], data: TrainingData, *, width: int
    ) -> None:
        """Stack the members; `load_row` puts those in their place that have trained before.

        Args:
            members: Their `training` may differ in everything but batch size and optimizer.
                Fastest are members of one order seed, in one epoch.
            data: What all see, on the device to train on.
            width: The models' width, for muP.
        """
        self._data, self._width = data, width
        self._build(tuple(members), [None] * len(members))

    def regroup(self, members: Sequence[Member[nn.Module]]) -> None:
        """Go on with these members: some that are in, some that are new, in a new order.

        Those that stay keep their numbers, and their soft targets are not made again.
        """
        before = {member.progress: row for row, member in enumerate(self.members)}
        rows = [before.get(member.progress) for member in members]
        states = [None if row is None else self.row_state(row) for row in rows]
        self._build(tuple(members), [None if row is None else self._targets[row] for row in rows])
        for row, state in enumerate(states):
            if state is not None:
                self.load_row(row, state)

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """Train all members together until the first one has done epoch `until`, or is finished.

        Yields, for each epoch, the metrics or the failure of each member by its row; a member
        that failed should leave (`regroup`) before going on.
        """
        while all(m.progress.epoch < until for m in self.members):
            yield self._validate(self._train_epoch())
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

    def _build(
        self, members: tuple[Member[nn.Module], ...], targets: list[Targets | None]
    ) -> None:
        self.members = members
        self._targets = targets
        self._batch_size = min(members[0].training.batch_size, len(self._data.train_y))
        self._stack = build_stack([scaled_body(m, self._width) for m in members])
        configs = [m.training for m in members]
        factors = rate_factors(members, self._stack, self._width)
        self._optimizer = RowOptimizer(configs, factors, self._stack.flat.detach())
        teach = [m.distillation for m in members]
        closed, like = in_closed_form(teach), self._stack.flat
        self._loss = AutogradLoss(teach, like) if closed is None else RowLoss(closed, like)
        self._steps: dict[tuple[int, bool], FunctionalStep] = {}

    def _train_epoch(self) -> Tensor:
        """Mean training losses [P]."""
        epochs = [m.progress.epoch for m in self.members]
        views = {epoch: self._data.at_epoch(epoch + 1) for epoch in set(epochs)}
        data = [views[epoch] for epoch in epochs]
        self._targets = self._loss.show(data, self._targets)
        num_samples, device = len(self._data.train_y), self._data.train_y.device
        sources = [(m.order_seed, epoch) for m, epoch in zip(self.members, epochs, strict=True)]
        made = {(seed, e): epoch_order(seed, e + 1, num_samples) for seed, e in set(sources)}
        shared = len(made) == 1
        orders = list(made.values()) if shared else [made[source] for source in sources]
        batches = torch.stack(orders).to(device).split(self._batch_size, dim=1)
        samples = [view.train_x for view in (data[:1] if shared else data)]
        self._loss.total.zero_()
        for batch, numbers in zip(
            batches, self._optimizer.plan(epochs, len(batches)), strict=True
        ):
            self._step(batch.shape[1], shared=shared).run(samples, batch, numbers)
        return self._loss.total / num_samples

    def _step(self, batch_size: int, *, shared: bool) -> FunctionalStep:
        key = (batch_size, shared)
        if key not in self._steps:
            self._steps[key] = FunctionalStep(
                self._stack,
                self._loss,
                self._optimizer,
                self._data.train_x,
                batch_size=batch_size,
                shared=shared,
            )
        return self._steps[key]

    @torch.no_grad()
    def _validate(self, train_losses: Tensor) -> dict[int, EpochMetrics | DivergedError]:
        data, teacher = self._data, self._data.teacher_val
        guesses = None if teacher is None else teacher.argmax(dim=1)
        sums = train_losses.new_zeros(3, len(self.members))
        kept = LogitsByStudent([m.progress.measured for m in self.members])
        for x, y, guess in zip(
            data.val_x.split(VAL_BATCH),
            data.val_y.split(VAL_BATCH),
            (data.val_y if guesses is None else guesses).split(VAL_BATCH),
            strict=True,
        ):
            logits = self._stack.predict(x)
            kept.add(logits)
            predicted = logits.max(dim=1).indices
            surprises = logits.log_softmax(dim=1).gather(1, y.expand(len(logits), 1, -1))
            sums[0] += (predicted == y).sum(dim=1)
            sums[1] -= surprises.sum(dim=(1, 2))
            if guesses is not None:
                sums[2] += (predicted == guess).sum(dim=1)
        shares = sums / len(data.val_y)
        numbers = torch.cat([train_losses.unsqueeze(0), shares]).tolist()
        epochs = [m.progress.epoch + 1 for m in self.members]
        more = kept.measure(data.val_y, teacher, epochs=epochs)
        rows = zip(*numbers, more, strict=True)
        return {row: self._told(row, *told) for row, told in enumerate(rows)}

    def _told(
        self,
        row: int,
        train_loss: float,
        val_accuracy: float,
        val_loss: float,
        val_agreement: float,
        more: dict[str, float] | DivergedError,
    ) -> EpochMetrics | DivergedError:
        training, progress = self.members[row].training, self.members[row].progress
        for split, loss in (("training", train_loss), ("validation", val_loss)):
            if not math.isfinite(loss):
                return DivergedError(
                    f"the {split} loss became {loss} in epoch {progress.epoch + 1} at learning "
                    f"rate {training.learning_rate:.3g}"
                )
        if isinstance(more, DivergedError):
            return more
        steps = math.ceil(len(self._data.train_y) / self._batch_size)
        last = schedule_factor(training, progress.epoch + (steps - 1) / steps)
        metrics = EpochMetrics(
            epoch=progress.epoch + 1,
            train_loss=train_loss,
            val_accuracy=val_accuracy,
            val_loss=val_loss,
            val_agreement=val_agreement,
            learning_rate=training.learning_rate * last,
            more=more,
        )
        progress.add(metrics, lambda: self._stack.take(row))
        return metrics


def scaled_body(member: Member[nn.Module], width: int) -> nn.Module:
    """A member's model as built, its readout scaled where muP wants it."""
    if member.training.lr_scaling != "mup":
        return member.model
    model = copy.deepcopy(member.model)
    scale_readout(model, width=width, base_width=member.training.mup_base_width)
    return model


def rate_factors(
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
