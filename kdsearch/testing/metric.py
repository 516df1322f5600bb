"""What every metric must be: a number that follows from outputs, and is better where it says."""

import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kdsearch.config import Metric
from kdsearch.training.evaluation import measure

CLASSES, SAMPLES = (2, 3, 10), 120
SURE = 8.0
"""What the logit of the class that a model names is above the others."""


class Outputs(NamedTuple):
    """Of one model on one split of N samples and C classes, and who taught it."""

    logits: Tensor
    """[N, C]."""
    labels: Tensor
    """Class indices [N]; every class occurs."""
    teacher_logits: Tensor
    """[N, C]."""

    def at(self, order: Tensor) -> "Outputs":
        """Some of the samples, in an order."""
        return Outputs(*(tensor[order] for tensor in self))


class MetricContract:
    """Subclass it and give it a fixture `metric`.

    An entry of the table, or your section: `ImportMetric(...).as_metric(name)`.
    """

    @pytest.fixture
    def metric(self) -> Metric:
        """The metric under test."""
        raise NotImplementedError

    def better_and_worse(self, outputs: Outputs) -> tuple[Outputs, Outputs]:
        """Outputs that it must rank; override it if being right is not what it is about.

        As it is: a model that names every label, as its teachers do, and one that never does.
        """
        right = SURE * F.one_hot(outputs.labels, outputs.logits.shape[1]).float()
        wrong = right.roll(1, dims=1)
        return Outputs(right, outputs.labels, right), Outputs(wrong, outputs.labels, right)

    @pytest.fixture(params=CLASSES)
    def outputs(self, request: pytest.FixtureRequest) -> Outputs:
        """Made-up outputs that know a little, of 2, 3 and 10 classes."""
        draw = torch.Generator().manual_seed(request.param)
        labels = torch.arange(SAMPLES) % request.param
        logits, teacher = torch.randn(2, SAMPLES, request.param, generator=draw)
        hint = F.one_hot(labels, request.param)
        return Outputs(logits + hint, labels, teacher + 2 * hint)

    def test_it_is_a_finite_number(self, metric: Metric, outputs: Outputs) -> None:
        """Also of models that are very sure; a fraction lies between 0 and 1."""
        right, wrong = self.better_and_worse(outputs)
        sure = outputs._replace(logits=100 * outputs.logits)
        for given in (outputs, sure, right, wrong):
            value = judged(metric, given)
            assert math.isfinite(value)
            assert metric.unit != "fraction" or -1e-6 <= value <= 1 + 1e-6

    def test_it_follows_from_what_it_is_given(self, metric: Metric, outputs: Outputs) -> None:
        """Asked again, after others: the same to the bit; it draws nothing and changes nothing."""
        kept = Outputs(*(tensor.clone() for tensor in outputs))
        torch.manual_seed(5)
        before = torch.get_rng_state()
        first = judged(metric, outputs)
        judged(metric, outputs.at(torch.arange(SAMPLES // 2)))
        assert judged(metric, outputs) == first
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(mine, its) for mine, its in zip(outputs, kept, strict=True))

    def test_the_order_of_the_samples_does_not_count(
        self, metric: Metric, outputs: Outputs
    ) -> None:
        """Splits have one by accident."""
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(1))
        assert judged(metric, outputs.at(order)) == pytest.approx(judged(metric, outputs), 1e-4)

    def test_the_number_of_samples_does_not_count(self, metric: Metric, outputs: Outputs) -> None:
        """Validation and test set differ in it: every sample twice is judged like once."""
        twice = outputs.at(torch.arange(SAMPLES).repeat(2))
        assert judged(metric, twice) == pytest.approx(judged(metric, outputs), 1e-4)

    def test_it_is_better_where_it_says(self, metric: Metric, outputs: Outputs) -> None:
        """`direction` is told to the search, which goes there."""
        better, worse = (judged(metric, given) for given in self.better_and_worse(outputs))
        assert better > worse if metric.direction == "maximize" else better < worse


def judged(metric: Metric, outputs: Outputs) -> float:
    """The metric of some outputs, as a study asks for it."""
    teacher = outputs.teacher_logits if metric.needs_teacher else None
    return measure(metric, outputs.logits, outputs.labels, teacher)
