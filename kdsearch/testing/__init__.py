"""Contracts as pytest classes: subclass one in your own tests, and give it your part.

`class TestMine(ExecutorContract)` with a fixture `executor` runs every test of the contract on it.
Needs pytest, which kdsearch itself does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kdsearch.testing.answer import AnswerContract
    from kdsearch.testing.data import DataContract
    from kdsearch.testing.executor import ExecutorContract
    from kdsearch.testing.loss import LossContract
    from kdsearch.testing.metric import MetricContract
    from kdsearch.testing.model import ModelCase, ModelContract
    from kdsearch.testing.sampler import SamplerContract
    from kdsearch.testing.sink import SinkContract

_HOMES = {
    "AnswerContract": "answer",
    "DataContract": "data",
    "ExecutorContract": "executor",
    "LossContract": "loss",
    "MetricContract": "metric",
    "ModelCase": "model",
    "ModelContract": "model",
    "SamplerContract": "sampler",
    "SinkContract": "sink",
}
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in set(_HOMES.values())))

__all__ = [
    "AnswerContract",
    "DataContract",
    "ExecutorContract",
    "LossContract",
    "MetricContract",
    "ModelCase",
    "ModelContract",
    "SamplerContract",
    "SinkContract",
]


def __getattr__(name: str) -> Any:
    # Lazy: the contract of answers brings the whole report along, which others need not wait for.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
