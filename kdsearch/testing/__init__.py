"""Contracts as pytest classes: subclass one in your own tests, and give it your part.

`class TestMine(ExecutorContract)` with a fixture `executor` runs every test of the contract on it.
Needs pytest, which kdsearch itself does not.
"""

import pytest

_PARTS = ("data", "executor", "loss", "model", "sampler", "sink")
pytest.register_assert_rewrite(*(f"kdsearch.testing.{part}" for part in _PARTS))

from kdsearch.testing.data import DataContract  # noqa: E402
from kdsearch.testing.executor import ExecutorContract  # noqa: E402
from kdsearch.testing.loss import LossContract  # noqa: E402
from kdsearch.testing.model import ModelCase, ModelContract  # noqa: E402
from kdsearch.testing.sampler import SamplerContract  # noqa: E402
from kdsearch.testing.sink import SinkContract  # noqa: E402

__all__ = [
    "DataContract",
    "ExecutorContract",
    "LossContract",
    "ModelCase",
    "ModelContract",
    "SamplerContract",
    "SinkContract",
]
