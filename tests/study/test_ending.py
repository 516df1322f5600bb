"""How a run of a study ends: a study that found nothing is no success, and torch is as before."""

from pathlib import Path

import pytest
import torch

import kdsearch
from kdsearch.errors import KdsearchError
from kdsearch.results import Results
from kdsearch.study.executors import open_executor
from kdsearch.study.storage.listing import list_studies
from kdsearch.study.storage.outcome import load_results, refuse_all_failed
from kdsearch.testing.small_study import small_study
from tests.conftest import WriteStudy
from tests.study.records import make_record

pytestmark = pytest.mark.slow

CONFIG = small_study()


def test_a_study_in_which_all_failed_says_how_many_and_why_most_did() -> None:
    reasons = ["no memory", "loss became NaN", "loss became NaN"]
    trials = tuple(
        make_record(CONFIG, number, state="FAIL", failure=reason)
        for number, reason in enumerate(reasons)
    )
    with pytest.raises(KdsearchError) as ended:
        refuse_all_failed(Results(CONFIG, trials, ()), Path("report.html"))
    assert str(ended.value).startswith(
        "all 3 trials of study small failed, 2 of them because: loss became NaN;"
    )
    assert ended.value.exit_code == 1
    one_pruned = (*trials, make_record(CONFIG, 3, state="PRUNED"))
    refuse_all_failed(Results(CONFIG, one_pruned, ()), Path("report.html"))
    refuse_all_failed(Results(CONFIG, (), ()), Path("report.html"))


def test_a_run_whose_students_all_diverge_is_an_error_after_its_report(
    write_study: WriteStudy, folder: Path
) -> None:
    path = write_study(
        search={
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
            "learning_rate": {"role": "fixed", "value": 1e30},
            "width": {"role": "fixed", "value": 4},
        },
        budget={"trials": 2, "max_failures": 9},
        confirm={"replicates": 1, "baseline": False},
        training__epochs=2,
        training__optimizer="sgd",
    )
    with pytest.raises(KdsearchError, match="all 2 trials of study small failed, 2 of them"):
        kdsearch.run_study(kdsearch.load_study(path), workers=0)
    assert (folder / "reports/small/report.html").exists()
    assert {t.state for t in load_results("small").trials} == {"FAIL"}
    (listed,) = list_studies(root=folder)
    assert (listed.state, listed.ended, listed.expected) == ("finished", 2, 4)


def test_the_callers_torch_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with open_executor(0):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
