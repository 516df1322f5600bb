"""A real MLflow does what every sink must."""

from pathlib import Path

import pytest

from kdsearch.testing import SinkContract
from kdsearch.testing.sink import MakeSink
from kdsearch.tracking.mlflow.sink import MlflowSink

pytestmark = pytest.mark.slow


class TestMlflow(SinkContract):
    @pytest.fixture
    def make_sink(self, folder: Path) -> MakeSink:
        return MlflowSink
