"""Many MLP students in one step, equal to the reference loop and several times faster.

Each has its own width, temperature, alpha, ensemble size, learning rate, weight decay and order
of samples. Those that see the same batches share the first layer's products.

P students, B batch, N samples, D inputs, C classes.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from kdsearch.config import DistillationConfig, TrainingConfig
from kdsearch.distill import in_closed_form
from kdsearch.errors import DivergedError
from kdsearch.models import mup_rate_factors, scale_readout
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.training.data import TrainingData, epoch_order
from kdsearch.training.evaluation import LogitsByStudent
from kdsearch.training.mlp.loss import Lesson, PopulationLoss
from kdsearch.training.mlp.stack import MlpStack, Pass, UpperStack, layer_names, make_layout, runs
from kdsearch.training.mlp.step import PopulationStep
from kdsearch.training.mlp.update import LayerFactors, Update
from kdsearch.training.optimizer import schedule_factor
from kdsearch.training.progress import Progress

VAL_BATCH = 512

Body = TypeVar("Body", bound=nn.Module, covariant=True)


class Member(NamedTuple, Generic[Body]):
    """One student of a population."""

    model: Body
    """Its weights to begin with, as built from its seed; not changed."""
    training: TrainingConfig
    distillation: DistillationConfig
    progress: Progress
    order_seed: int
    """Decides its batches, with the epoch it is in."""


class Population:
    """Students of equal depth, batch size and optimizer.

    They may be in different epochs. Any order of members is right; fast are those in which
    members of one order seed and epoch are neighbours, and among these those of one width.
    """

    def __init__(self, members: Sequence[Member[Mlp]], data: TrainingData) -> None:
        """Stack the members; `load_row` puts those in their place that have trained before.

        Args:
            members: Their `training` may differ in everything but batch size and optimizer.
            data: What all see, on the device to train on.
        """
        self._data = data
        self._build(tuple(members), [None] * len(members))

    def regroup(self, members: Sequence[Member[Mlp]]) -> None:
        """Go on with these members: some that are in, some that are new, in a new order.

        Those that stay keep their numbers, and their soft targets are not made again.
        """
        before = {member.progress: row for row, member in enumerate(self.members)}
        rows = [before.get(member.progress) for member in members]
        states = [None if row is None else self.row_state(row) for row in rows]
        lessons = [None if row is None else self._loss.lessons[row] for row in rows]
        self._build(tuple(members), lessons)
        for row, state in enumerate(states):
            if state is not None:
                self.load_row(row, state)

    def epochs(self, *, until: int) -> Iterator[dict[int, EpochMetrics | DivergedError]]:
        """Train all members together until the first one has done epoch `until`, or is finished.

        Yields, for each epoch, the metrics or the failure of each member by its row; a member
        that failed should leave (`regroup`) before going on.
        """
        built_for = [block.rows for block in self._layout.blocks]
        if [rows for _, rows in runs(self._sources())] != built_for:
            self.regroup(self.members)  # a loaded member is in another epoch than it was
        while all(m.progress.epoch < until for m in self.members):
            yield self._validate(self._train_epoch())
            if any(m.progress.is_finished for m in self.members):
                return

    def row_state(self, row: int) -> dict[str, Any]:
        """All that one member needs to go on exactly, alone or in any population."""
        weights, *moments = self._stacks
        return {
            "weights": weights.take(row),
            "moments": [stack.take(row) for stack in moments],
            "steps": self._update.steps[row].clone(),
            "progress": self.members[row].progress.state_dict(),
        }

    def load_row(self, row: int, state: dict[str, Any]) -> None:
        """Put a member in the place that `row_state` remembers."""
        weights, *moments = self._stacks
        weights.put(row, state["weights"])
        for stack, named in zip(moments, state["moments"], strict=True):
            stack.put(row, named)
        self._update.steps[row].copy_(state["steps"])
        self.members[row].progress.load_state_dict(state["progress"])

    def _build(self, members: tuple[Member[Mlp], ...], lessons: list[Lesson | None]) -> None:
        self.members = members
        first, device = members[0], self._data.train_y.device
        self._batch_size = min(first.training.batch_size, len(self._data.train_y))
        self._layout = make_layout(
            [m.model.readout.in_features for m in members],
            self._sources(),
            depth=len(first.model.hidden),
            fan_in=self._data.train_x[0].numel(),
            num_classes=first.model.readout.out_features,
        )
        layout = self._layout
        weights = MlpStack(layout, device)
        for row, member in enumerate(members):
            weights.put(row, initial_weights(member))
        weights.fix_constants()
        self._stacks = (weights, MlpStack(layout, device), MlpStack(layout, device))
        self._grads = UpperStack(layout, device)
        configs, factors = [m.training for m in members], [layer_factors(m) for m in members]
        self._update = Update(configs, factors, layout, self._stacks, self._grads)
        teach = in_closed_form([m.distillation for m in members])
        assert teach is not None
        self._loss = PopulationLoss(teach, layout, device, lessons)
        self._steps: dict[int, PopulationStep] = {}
        self._val_passes: dict[int, tuple[Pass, Tensor]] = {}

    def _sources(self) -> list[tuple[int, int]]:
        return [(m.order_seed, m.progress.epoch) for m in self.members]

    def _train_epoch(self) -> list[float]:
        """Mean training losses."""
        firsts = [self.members[block.rows.start] for block in self._layout.blocks]
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
        self._update.plan([m.progress.epoch for m in self.members], len(batches))
        for index, positions in enumerate(batches):
            self._update.at_step(index)
            self._step(len(positions[0]), views).run(positions)
        losses = self._loss.end().tolist()
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

    def _validate(self, losses: Sequence[float]) -> dict[int, EpochMetrics | DivergedError]:
        labels, teacher = self._data.val_y, self._data.teacher_val
        guesses = None if teacher is None else teacher.argmax(dim=1)
        samples = self._data.val_x.flatten(1)
        kept = LogitsByStudent([m.progress.measured for m in self.members])
        sums = torch.zeros(3, len(self.members), dtype=torch.float64, device=labels.device)
        for start in range(0, len(labels), VAL_BATCH):
            chunk = slice(start, start + VAL_BATCH)
            wanted = labels[chunk]
            logits = self._val_logits(samples[chunk])
            kept.add(logits)
            predicted = logits.argmax(dim=1)
            picked = logits.gather(1, wanted.expand(len(logits), 1, -1)).squeeze(1)
            sums[0] += (predicted == wanted).sum(dim=1)
            sums[1] += (logits.logsumexp(dim=1) - picked).sum(dim=1)
            if guesses is not None:
                sums[2] += (predicted == guesses[chunk]).sum(dim=1)
        epochs = [m.progress.epoch + 1 for m in self.members]
        more = kept.measure(labels, teacher, epochs=epochs)
        rows = zip(losses, *(sums / len(labels)).tolist(), more, strict=True)
        return {row: self._told(row, *numbers) for row, numbers in enumerate(rows)}

    def _val_logits(self, samples: Tensor) -> Tensor:
        """Logits [P, C, B] of samples [B, D]."""
        size = len(samples)
        if size not in self._val_passes:
            run = Pass(self._layout.sharing_batches(), self._stacks[0], size)
            self._val_passes[size] = (run, samples.new_ones(size, samples.shape[1] + 1))
        run, x = self._val_passes[size]
        x[:, :-1] = samples
        return run.forward([x])

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
        progress.add(metrics, lambda: self._stacks[0].take(row))
        return metrics


def initial_weights(member: Member[Mlp]) -> dict[str, Tensor]:
    """A member's weights as built, its readout scaled where muP wants it."""
    model, config = member.model, member.training
    if config.lr_scaling != "mup":
        return dict(model.state_dict())
    scaled = copy.deepcopy(model)
    scale_readout(scaled, width=model.readout.in_features, base_width=config.mup_base_width)
    return dict(scaled.state_dict())


def layer_factors(member: Member[Mlp]) -> list[LayerFactors] | None:
    """How the layers learn under muP; None without it."""
    config, model = member.training, member.model
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
