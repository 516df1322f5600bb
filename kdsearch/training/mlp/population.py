"""Many MLP students in one step, equal to the reference loop and several times faster.

Each has its own width, temperature, alpha, ensemble size, learning rate, weight decay and order
of samples. Those that see the same batches share the first layer's products.

P students, B batch, N samples, D inputs, C classes.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from kdsearch.distill import in_closed_form
from kdsearch.errors import DivergedError
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.mlp.loss import Lesson, PopulationLoss
from kdsearch.training.mlp.stack import MlpStack, Pass, UpperStack, layer_names, make_layout, runs
from kdsearch.training.mlp.step import PopulationStep
from kdsearch.training.mlp.update import LayerFactors, Update
from kdsearch.training.population import Population, PopulationStudent


class MlpPopulation(Population[Mlp, Lesson]):
    """Students of equal depth, batch size and optimizer.

    They may be in different epochs. Any order of students is right; fast are those in which
    students of one order seed and epoch are neighbours, and among these those of one width.
    """

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """See `Population.epochs`."""
        built_for = [block.rows for block in self._layout.blocks]
        if [rows for _, rows in runs(self._sources())] != built_for:
            self.regroup(self.students)  # a loaded student is in another epoch than it was
        yield from super().epochs(until=until)

    def student_state(self, row: int) -> dict[str, Any]:
        """See `Population.student_state`."""
        weights, *moments = self._stacks
        return {
            "weights": weights.take(row),
            "moments": [stack.take(row) for stack in moments],
            "steps": self._update.steps[row].clone(),
            "progress": self.students[row].progress.state_dict(),
        }

    def load_student(self, row: int, state: dict[str, Any]) -> None:
        """See `Population.load_student`."""
        weights, *moments = self._stacks
        weights.put(row, state["weights"])
        for stack, named in zip(moments, state["moments"], strict=True):
            stack.put(row, named)
        self._update.steps[row].copy_(state["steps"])
        self.students[row].progress.load_state_dict(state["progress"])

    def _build(
        self, students: tuple[PopulationStudent[Mlp], ...], lessons: Sequence[Lesson | None]
    ) -> None:
        first, device = students[0], self._data.train_y.device
        self._layout = make_layout(
            [m.model.readout.in_features for m in students],
            self._sources(),
            depth=len(first.model.hidden),
            fan_in=self._data.train_x[0].numel(),
            num_classes=first.model.readout.out_features,
        )
        layout = self._layout
        weights = MlpStack(layout, device)
        for row, student in enumerate(students):
            weights.put(row, initial_weights(student))
        weights.fix_constants()
        self._stacks = (weights, MlpStack(layout, device), MlpStack(layout, device))
        self._grads = UpperStack(layout, device)
        configs, factors = [m.training for m in students], [layer_factors(m) for m in students]
        self._update = Update(configs, factors, layout, self._stacks, self._grads)
        teach = in_closed_form([m.distillation for m in students])
        assert teach is not None
        self._loss = PopulationLoss(teach, layout, device, list(lessons))
        self._steps: dict[int, PopulationStep] = {}
        self._val_passes: dict[int, tuple[Pass, Tensor]] = {}

    def _lessons(self) -> Sequence[Lesson | None]:
        return self._loss.lessons

    def _sources(self) -> list[tuple[int, int]]:
        return [(m.order_seed, m.progress.epoch) for m in self.students]

    def _train_epoch(self) -> Tensor:
        firsts = [self.students[block.rows.start] for block in self._layout.blocks]
        by_epoch = {e: self._data.at_epoch(e + 1) for e in {m.progress.epoch for m in firsts}}
        views = [by_epoch[m.progress.epoch] for m in firsts]
        if self._loss.show(views):
            for step in self._steps.values():
                step.show(views)
        device = self._data.train_y.device
        orders = [
            epoch_order(m.order_seed, m.progress.epoch + 1, len(view.train_y)).to(device)
            for m, view in zip(firsts, views, strict=True)
        ]
        batches = list(zip(*(order.split(self._batch_size) for order in orders), strict=True))
        self._loss.begin(self._batch_size)
        self._update.plan([m.progress.epoch for m in self.students], len(batches))
        for index, positions in enumerate(batches):
            self._update.at_step(index)
            self._step(len(positions[0]), views).run(positions)
        losses = self._loss.end()
        if any(view is not self._data for view in views):
            self._forget_views()
        return losses

    def _forget_views(self) -> None:
        """Free an epoch's own samples before the next epoch's are made."""
        self._loss.forget()
        for step in self._steps.values():
            step.show([])

    def _step(self, batch_size: int, views: Sequence[TrainingData]) -> PopulationStep:
        if batch_size not in self._steps:
            step = PopulationStep(
                self._layout,
                self._stacks[0],
                self._grads,
                self._loss,
                self._update,
                batch_size=batch_size,
            )
            step.show(views)
            self._steps[batch_size] = step
        return self._steps[batch_size]

    def _predict(self, samples: Tensor) -> Tensor:
        samples, size = samples.flatten(1), len(samples)
        if size not in self._val_passes:
            run = Pass(self._layout.sharing_batches(), self._stacks[0], size)
            self._val_passes[size] = (run, samples.new_ones(size, samples.shape[1] + 1))
        run, x = self._val_passes[size]
        x[:, :-1] = samples
        return run.forward([x])

    def _surprise(self, logits: Tensor, labels: Tensor) -> Tensor:
        picked = logits.gather(1, labels.expand(len(logits), 1, -1)).squeeze(1)
        return (logits.logsumexp(dim=1) - picked).sum(dim=1)

    def _weights(self, row: int) -> dict[str, Tensor]:
        return self._stacks[0].take(row)


def initial_weights(student: PopulationStudent[Mlp]) -> dict[str, Tensor]:
    """A student's weights as built, its readout scaled where muP wants it."""
    model, config = student.model, student.training
    if config.lr_scaling != "mup":
        return dict(model.state_dict())
    scaled = copy.deepcopy(model)
    scale_readout(scaled, width=model.readout.in_features, base_width=config.mup_base_width)
    return dict(scaled.state_dict())


def layer_factors(student: PopulationStudent[Mlp]) -> list[LayerFactors] | None:
    """How the layers learn under muP; None without it."""
    config, model = student.training, student.model
    if config.lr_scaling != "mup":
        return None
    factors = mup_rate_factors(
        model,
        optimizer=config.optimizer,
        width=model.readout.in_features,
        base_width=config.mup_base_width,
    )
    pairs = [
        (factors[f"{name}.weight"], factors[f"{name}.bias"])
        for name in layer_names(len(model.hidden))
    ]
    return [LayerFactors(weight, bias / weight) for weight, bias in pairs]
