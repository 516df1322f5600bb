"""The metrics of the table keep the contract that users' own must keep."""

import pytest

from kdsearch.config import METRICS, Metric
from kdsearch.testing import MetricContract


class TestTable(MetricContract):
    @pytest.fixture(params=METRICS)
    def metric(self, request: pytest.FixtureRequest) -> Metric:
        return METRICS[request.param]
