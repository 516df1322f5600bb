"""What every architecture promises."""

import pytest

from kdsearch.models import describe_model
from kdsearch.testing import ModelCase, ModelContract
from tests.models.architectures import CASES, name_of


class TestOurs(ModelContract):
    @pytest.fixture(params=CASES, ids=name_of)
    def case(self, request: pytest.FixtureRequest) -> ModelCase:
        return request.param


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_described_in_words(case: ModelCase) -> None:
    words = describe_model(case.config)
    assert f"width {case.config.width}" in words
    assert words.startswith(("mlp ", "conv1d ", "cnn ", "contract_net:Net "))
