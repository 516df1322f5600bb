import pytest
from synthetic import make_results

from kdsearch.results import Results


@pytest.fixture(scope="session")
def results() -> Results:
    return make_results()
