"""Whatever proposes and whatever stops: equal budgets, and the same numbers however it was run."""

import os
import signal

import pytest

import kdsearch
from kdsearch.config import StudyConfig
from kdsearch.errors import InterruptedStudyError
from kdsearch.results import Results
from kdsearch.study.listener import Listener
from tests.conftest import WriteStudy
from tests.study.methods import METHODS, check_that_it_did_what_it_is_called
from tests.study.test_run import essence, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", METHODS)
def test_interruptions_change_nothing_and_budgets_are_equal(
    write_study: WriteStudy,
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name=f"same-{method}", **METHODS[method])
    whole = run(path)
    check_that_it_did_what_it_is_called(whole, method)
    check_budgets(whole)
    monkeypatch.chdir(tmp_path_factory.mktemp("interrupted"))
    pieces = interrupted(kdsearch.load_study(path), every=23)
    assert [essence(t) for t in pieces.trials] == [essence(t) for t in whole.trials]


@pytest.mark.parametrize("method", [name for name in METHODS if "-" in name or name == "tpe"])
def test_two_worker_processes_give_the_same_numbers(
    write_study: WriteStudy,
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name=f"workers-{method}", **METHODS[method])
    inline = run(path)
    monkeypatch.chdir(tmp_path_factory.mktemp("processes"))
    processes = run(path, workers=2)
    assert [essence(t) for t in processes.trials] == [essence(t) for t in inline.trials]


def check_budgets(results: Results) -> None:
    """Every stratum and arm has had all of its trials, and as many are confirmed."""
    config = results.config
    replicates = config.confirm.replicates * config.confirm.candidates
    for stratum in config.strata():
        for arm in ("distilled", "baseline"):
            mine = [t for t in results.select(arm=arm) if t.stratum == dict(stratum)]
            stages = [t.stage for t in mine]
            assert stages.count("search") == config.budget.trials
            assert stages.count("confirm") == replicates
            assert all(t.state in ("COMPLETE", "PRUNED") for t in mine)


def interrupted(config: StudyConfig, *, every: int) -> Results:
    """Run a study to its end although it is stopped after every few epochs."""

    class Stopper(Listener):
        def __init__(self) -> None:
            self.left = every

        def epoch(self, row: str, metrics: object) -> None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)

    for _ in range(100):
        try:
            return kdsearch.run_study(config, workers=0, listener=Stopper()).results
        except InterruptedStudyError:
            continue
    raise AssertionError("the study made no progress")
