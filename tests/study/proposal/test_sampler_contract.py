"""The samplers that studies take from Optuna keep the contract that users' own must keep."""

import pytest
from optuna.samplers import BaseSampler

from kdsearch.study.proposal.sampler import build_sampler
from kdsearch.testing import SamplerContract
from kdsearch.testing.small_study import small_study

pytestmark = pytest.mark.slow


class TestOptunas(SamplerContract):
    @pytest.fixture(autouse=True, params=["tpe", "gp", "random"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        self.config = small_study(sampler={"kind": request.param, "startup_trials": 3})
        return request.param

    def make_sampler(self, seed: int) -> BaseSampler:
        return build_sampler(self.config, seed)
