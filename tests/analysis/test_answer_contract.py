"""The answers of the report keep the contract that users' own must keep."""

import pytest

from kdsearch.analysis import ANSWERS
from kdsearch.testing import AnswerContract
from tests.docs.pages import blocks

pytestmark = pytest.mark.slow


class TestOurs(AnswerContract):
    @pytest.fixture(params=ANSWERS, ids=lambda answer: answer.name)
    def answer(self, request):
        return request.param

    @pytest.fixture
    def beside(self):
        return ()


class TestThePages(AnswerContract):
    @pytest.fixture
    def answer(self):
        example: dict = {}
        exec(blocks("extending/answer.md", "python")[0], example)
        return example["Scatter"]()
