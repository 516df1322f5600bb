"""A training step recorded as a CUDA graph: one launch instead of some hundred."""

from collections.abc import Callable

import torch

WARM_UP_STEPS = 3
"""Libraries choose kernels and take workspace in the first steps, which may not be recorded."""


class StepGraph:
    """Runs a step that always reads and writes the same tensors; the first runs warm up.

    The first runs are ordinary ones on a side stream, so that they count as training.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        """Record nothing yet.

        Args:
            step: Launches the same kernels on the same memory each time, and never waits for
                the device.
            device: A CUDA device.
        """
        self._step, self._device = step, device
        self._stream = torch.cuda.Stream(device)
        self._runs = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self) -> None:
        """One step, in order with whatever else the current stream does."""
        if self._graph is not None:
            self._graph.replay()
        elif self._runs < WARM_UP_STEPS:
            self._runs += 1
            current = torch.cuda.current_stream(self._device)
            self._stream.wait_stream(current)
            with torch.cuda.stream(self._stream):
                self._step()
            current.wait_stream(self._stream)
        else:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream):
                self._step()  # recorded, not run
            self._graph = graph
            graph.replay()
