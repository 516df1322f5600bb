"""Students of kind conv1d as one on the CPU, forward and backward written out.

16 together do 16 times as many epochs a second as the reference loop at width 2, 4 times at 16,
1.8 at 64 (`benchmarks/signals.py`).

P students, p of them in the cache at a time, B batch, C classes, M trained numbers of a student.
"""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdsearch.models.conv1d import Conv1dNet
from kdsearch.training.vmap.conv1d_pass import Group, Norm, Pass, halved
from kdsearch.training.vmap.module_stack import ModuleStack, Slope

GROUP_BYTES = 2**21
"""Students go through a step in groups whose largest map is at most so big: more leave the cache
(measured, with 2 MB of it a core)."""

Passes = list[tuple[Pass, list[Group]]]
"""Those for batches of one shape, each with the groups that it is run for."""


class Conv1dStack(ModuleStack):
    """The weights and batch norms of P networks `Conv1dNet`, all trained, on the CPU."""

    def __init__(self, models: Sequence[Conv1dNet]) -> None:
        """Take over the modules' numbers; the modules themselves are not touched again.

        Args:
            models: Equal but for their numbers.
        """
        super().__init__(models)
        self._norms = [m for m in models[0].features if isinstance(m, nn.BatchNorm1d)]
        self._num_classes = models[0].readout.out_features
        self._grads = torch.empty_like(self.flat, requires_grad=False)
        self._steps_seen = [v for n, v in self._others.items() if n.endswith("batches_tracked")]
        self._groups: dict[tuple[int, int], Group] = {}
        self._passes: dict[tuple[torch.Size, bool], Passes] = {}
        self._eval_passes: dict[torch.Size, Passes] = {}

    @torch.no_grad()
    def gradients(self, x: Tensor, slope: Slope, *, shared: bool) -> Tensor:
        """See `ModuleStack.gradients`; the result is a buffer that later calls use again.

        Raises:
            ValueError: A channel has a single value, which has no variance.
        """
        key = (x.shape, shared)
        if key not in self._passes:
            self._passes[key] = self._make(x if shared else x[0], shared=shared, training=True)
        for one, groups in self._passes[key]:
            if shared:
                one.read(x.unsqueeze(0))
            for group in groups:
                if not shared:
                    one.read(x[group.rows])
                logits = one.forward(group)
                one.backward(group, slope(logits, group.rows), self._grads[group.rows])
        for count in self._steps_seen:
            count.add_(1)
        return self._grads

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """See `ModuleStack.predict`."""
        if x.shape not in self._eval_passes:
            self._eval_passes[x.shape] = self._make(x, shared=True, training=False)
        logits = x.new_empty(len(self.flat), self._num_classes, len(x))
        for one, groups in self._eval_passes[x.shape]:
            one.read(x.unsqueeze(0))
            for group in groups:
                logits[group.rows] = one.forward(group)
        return logits

    def _make(self, x: Tensor, *, shared: bool, training: bool) -> Passes:
        """Passes for batches like x [B, ...]."""
        signal = x if x.dim() == 3 else x.unsqueeze(1)
        map_bytes = 4 * self._norms[0].num_features * halved(x.shape[-1]) * len(x)
        sizes = split(len(self.flat), max(1, GROUP_BYTES // map_bytes))
        made, start = [], 0
        for size, same in itertools.groupby(sizes):
            groups = []
            for _ in same:
                groups.append(self._group(slice(start, start + size)))
                start += size
            one = Pass(
                signal,
                size=size,
                width=self._norms[0].num_features,
                depth=len(self._norms),
                num_classes=self._num_classes,
                shared=shared,
                training=training,
            )
            made.append((one, groups))
        return made

    def _group(self, rows: slice) -> Group:
        key = (rows.start, rows.stop)
        if key not in self._groups:
            numbers = self._named(self.flat.detach()) | self._others
            mine = {name: value[rows] for name, value in numbers.items()}
            kernels, norms = [], []
            for index, module in enumerate(self._norms):
                kernels.append(mine[f"features.{3 * index}.weight"].flatten(2))
                name = f"features.{3 * index + 1}"
                assert module.momentum is not None
                norms.append(
                    Norm(
                        mine[f"{name}.weight"],
                        mine[f"{name}.bias"],
                        mine[f"{name}.running_mean"].flatten(),
                        mine[f"{name}.running_var"].flatten(),
                        module.momentum,
                        module.eps,
                    )
                )
            readout, bias = mine["readout.weight"], mine["readout.bias"].unsqueeze(2)
            self._groups[key] = Group(rows, kernels, norms, readout, bias)
        return self._groups[key]


def split(count: int, most: int) -> list[int]:
    """Sizes of as few, as equal parts as there can be of at most so many each."""
    parts = -(-count // most)
    small, rest = divmod(count, parts)
    return [small + 1] * rest + [small] * (parts - rest)
