"""Students of any architecture that stacks in one step, equal to the reference loop.

They have one architecture and one width; each has its own temperature, alpha, ensemble size,
learning rate, weight decay and order of samples, and may be in an epoch of its own. The forward
pass is torch.func's `vmap` over stacked weights, on one batch if all see the same; on the CPU
conv1d has passes of its own (`kdsearch.training.vmap.conv1d_stack`).

P students, B batch, N samples, C classes, M trained numbers of a student.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdsearch.distill import in_closed_form
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.population import Population, PopulationStudent
from kdsearch.training.vmap.autograd_loss import AutogradLoss
from kdsearch.training.vmap.closed_loss import ClosedLoss
from kdsearch.training.vmap.module_stack import ModuleStack
from kdsearch.training.vmap.stack_loss import Targets
from kdsearch.training.vmap.stack_optimizer import StackOptimizer
from kdsearch.training.vmap.stacking import build_stack
from kdsearch.training.vmap.step import FunctionalStep


class FunctionalPopulation(Population[nn.Module, Targets]):
    """Students of one architecture and width, batch size and optimizer."""

    def __init__(
        self, students: Sequence[PopulationStudent[nn.Module]], data: TrainingData, *, width: int
    ) -> None:
        """Stack the students; `load_student` puts those in their place that have trained before.

        Args:
            students: Their `training` may differ in everything but batch size and optimizer.
                Fastest are students of one order seed, in one epoch.
            data: What all see, on the device to train on.
            width: The models' width, for muP.
        """
        self._width = width
        super().__init__(students, data)

    def student_state(self, row: int) -> dict[str, Any]:
        """See `Population.student_state`."""
        moments = [self._stack.numbers(flat, row) for flat in self._optimizer.moments]
        return {
            "weights": self._stack.take(row),
            "moments": [{name: v.clone() for name, v in named.items()} for named in moments],
            "steps": torch.tensor(self._optimizer.steps[row]),
            "progress": self.students[row].progress.state_dict(),
        }

    def load_student(self, row: int, state: dict[str, Any]) -> None:
        """See `Population.load_student`."""
        self._stack.put(row, state["weights"])
        for flat, named in zip(self._optimizer.moments, state["moments"], strict=True):
            for name, view in self._stack.numbers(flat, row).items():
                view.copy_(named[name])
        self._optimizer.steps[row] = int(state["steps"])
        self.students[row].progress.load_state_dict(state["progress"])

    def _build(
        self, students: tuple[PopulationStudent[nn.Module], ...], lessons: Sequence[Targets | None]
    ) -> None:
        self._targets = list(lessons)
        self._stack = build_stack([scaled_body(m, self._width) for m in students])
        configs = [m.training for m in students]
        factors = rate_factors(students, self._stack, self._width)
        self._optimizer = StackOptimizer(configs, factors, self._stack.flat.detach())
        teach = [m.distillation for m in students]
        closed, like = in_closed_form(teach), self._stack.flat
        self._loss = AutogradLoss(teach, like) if closed is None else ClosedLoss(closed, like)
        self._steps: dict[tuple[int, bool], FunctionalStep] = {}

    def _lessons(self) -> Sequence[Targets | None]:
        return self._targets

    def _train_epoch(self) -> Tensor:
        epochs = [m.progress.epoch for m in self.students]
        views = {epoch: self._data.at_epoch(epoch + 1) for epoch in set(epochs)}
        data = [views[epoch] for epoch in epochs]
        self._targets = self._loss.show(data, self._targets)
        num_samples, device = len(self._data.train_y), self._data.train_y.device
        sources = [(m.order_seed, epoch) for m, epoch in zip(self.students, epochs, strict=True)]
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

    def _predict(self, samples: Tensor) -> Tensor:
        return self._stack.predict(samples)

    def _surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        picked = logits.log_softmax(dim=1).gather(1, labels.expand(len(logits), 1, -1))
        return -picked.sum(dim=(1, 2))

    def _weights(self, row: int) -> dict[str, Tensor]:
        return self._stack.take(row)


def scaled_body(student: PopulationStudent[nn.Module], width: int) -> nn.Module:
    """A student's model as built, its readout scaled where muP wants it."""
    if student.training.lr_scaling != "mup":
        return student.model
    model = copy.deepcopy(student.model)
    scale_readout(model, width=width, base_width=student.training.mup_base_width)
    return model


def rate_factors(
    students: Sequence[PopulationStudent[nn.Module]], stack: ModuleStack, width: int
) -> Tensor | None:
    """MuP's factor for each trained number [P, M]; None where nobody asks for it."""
    if all(m.training.lr_scaling != "mup" for m in students):
        return None
    factors = torch.ones_like(stack.flat, requires_grad=False)
    for row, student in enumerate(students):
        config = student.training
        if config.lr_scaling == "mup":
            by_name = mup_rate_factors(
                student.model,
                optimizer=config.optimizer,
                width=width,
                base_width=config.mup_base_width,
            )
            for name, view in stack.numbers(factors, row).items():
                view.fill_(by_name[name])
    return factors
