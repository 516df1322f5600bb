"""Ours do what every executor must."""

from collections.abc import Iterator

import pytest

from kdsearch.execution import Executor, InlineExecutor, ProcessExecutor
from kdsearch.testing import ExecutorContract

pytestmark = pytest.mark.slow


class TestOurs(ExecutorContract):
    @pytest.fixture(params=["inline", "processes"])
    def executor(self, request: pytest.FixtureRequest) -> Iterator[Executor]:
        executor = InlineExecutor() if request.param == "inline" else ProcessExecutor(2)
        yield executor
        executor.close()
