"""Contracts as pytest classes: subclass one in your own tests, and give it your part.

`class TestMine(ExecutorContract)` with a fixture `executor` runs every test of the contract on it.
Needs pytest, which kdsearch itself does not.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"kdsearch.testing.{name}" for name in ("data", "executor", "model", "sampler", "sink"))
)

from kdsearch.testing.data import DataContract  # noqa: E402
from kdsearch.testing.executor import ExecutorContract  # noqa: E402
from kdsearch.testing.model import ModelCase, ModelContract  # noqa: E402
from kdsearch.testing.sampler import SamplerContract  # noqa: E402
from kdsearch.testing.sink import SinkContract  # noqa: E402

__all__ = [
    "DataContract",
    "ExecutorContract",
    "ModelCase",
    "ModelContract",
    "SamplerContract",
    "SinkContract",
]
