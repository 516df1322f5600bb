"""What reviewers broke once, and must not break again."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import kdsearch
from kdsearch.cache import cache_folder
from kdsearch.errors import InterruptedStudyError, KdsearchError, StudyChangedError
from kdsearch.results import Results
from kdsearch.study.proposal.lane import lane_epochs, lanes_of
from tests.conftest import WriteStudy
from tests.study.test_run import essence

pytestmark = pytest.mark.slow

ONE_WIDTH = {"role": "fixed", "value": 4}


def run(path: Path, *overrides: str) -> Results:
    return kdsearch.run_study(kdsearch.load_study(path, overrides), workers=0).results


def test_a_new_study_knows_nothing_of_a_deleted_one_of_its_name(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os
    import signal

    from kdsearch.study.listener import Listener

    class Stopper(Listener):
        done = False

        def epoch(self, row: str, metrics: object) -> None:
            if row.startswith("search") and not self.done:
                self.done = True
                os.kill(os.getpid(), signal.SIGINT)

    path = write_study(name="reborn", search__width=ONE_WIDTH)
    with pytest.raises(InterruptedStudyError):
        kdsearch.run_study(kdsearch.load_study(path), workers=0, listener=Stopper())
    assert list(Path(".kdsearch/reborn/checkpoints").iterdir())
    Path("kdsearch.db").unlink()
    again = run(path, "training.optimizer=sgd")
    monkeypatch.chdir(tmp_path_factory.mktemp("fresh"))
    fresh = run(path, "training.optimizer=sgd")
    assert [essence(t) for t in again.trials] == [essence(t) for t in fresh.trials]


def test_other_data_under_the_same_study_is_refused(write_study: WriteStudy) -> None:
    def write_data(seed: int) -> None:
        rng = np.random.default_rng(seed)
        y = np.arange(400) % 4
        np.savez("mine.npz", x=rng.normal(y[:, None], 1.0, (400, 6)), y=y)

    write_data(0)
    path = write_study(
        name="moved", data={"kind": "npz", "path": "mine.npz"}, search__width=ONE_WIDTH
    )
    before = run(path, "budget.trials=2").trials
    write_data(1)
    with pytest.raises(StudyChangedError, match="data of study moved is not what it was"):
        run(path, "budget.trials=3")
    assert kdsearch.load_results("moved").trials == before


@pytest.mark.parametrize("role", ["scientific", "nuisance"])
def test_alpha_values_without_one_leave_room_for_the_baseline(
    write_study: WriteStudy, role: str
) -> None:
    results = run(
        write_study(
            name=f"alphas-{role}",
            search__alpha={"role": role, "values": [0.1, 0.9]},
            search__width=ONE_WIDTH,
            budget={"trials": 2, "generation": 2},
        )
    )
    assert {t.alpha for t in results.select(arm="baseline")} == {1.0}
    assert {t.alpha for t in results.select(arm="distilled")} <= {0.1, 0.9}
    assert results.select(arm="baseline", stage="confirm", state="COMPLETE")


def test_trials_of_a_teacher_that_diverges_fail_and_the_others_go_on(
    write_study: WriteStudy,
) -> None:
    changes = {
        "search__width": ONE_WIDTH,
        "teacher__training__optimizer": "sgd",
        "search__teacher.training.learning_rate": {"role": "scientific", "values": [0.05, 1e30]},
        "budget": {"trials": 2, "generation": 2},
    }
    path = write_study(name="untaught", **changes)
    results = run(path)
    failed = results.select(state="FAIL")
    assert {t.settings["teacher.training.learning_rate"] for t in failed} == {1e30}
    assert len(failed) == 2
    assert all("its teacher cannot be trained" in (t.failure or "") for t in failed)
    assert results.select(stage="confirm", arm="distilled", state="COMPLETE")
    assert kdsearch.run_study(kdsearch.load_study(path), workers=0).new_trials == 0
    hopeless = write_study(
        name="hopeless",
        search__width=ONE_WIDTH,
        teacher__training={"optimizer": "sgd", "learning_rate": 1e30},
    )
    with pytest.raises(KdsearchError, match="no teacher can be trained: the training loss"):
        run(hopeless)


def test_baselines_need_no_teacher_of_their_own(write_study: WriteStudy) -> None:
    path = write_study(
        name="two-banks",
        search__width=ONE_WIDTH,
        **{"search__teacher.model.width": {"role": "scientific", "values": [8, 16]}},
        budget={"trials": 1},
    )
    shutil.rmtree(cache_folder() / "logits", ignore_errors=True)
    assert len(run(path).banks) == 2


def test_rungs_fit_into_searched_epochs(write_study: WriteStudy) -> None:
    path = write_study(
        name="epochs",
        **{"search__training.epochs": {"role": "scientific", "values": [9, 27]}},
        search__width=ONE_WIDTH,
        pruner={"kind": "hyperband", "min_correlation": 0.0},
    )
    config = kdsearch.load_study(path)
    assert {lane_epochs(config, lane) for lane in lanes_of(config, config.strata())} == {9, 27}
    results = run(path, "budget.trials=8", "confirm.replicates=1")
    pruned = results.select(state="PRUNED")
    assert {t.epochs for t in pruned if t.settings["training.epochs"] == 27} <= {3, 9}
    assert any(t.settings["training.epochs"] == 27 for t in pruned)


def test_students_of_several_depths_are_measured_and_trained(write_study: WriteStudy) -> None:
    path = write_study(
        name="depths",
        search__width=ONE_WIDTH,
        **{"search__student.depth": {"role": "nuisance", "low": 1, "high": 3}},
        budget={"trials": 8, "generation": 8},
    )
    results = run(path)
    assert len({t.settings["student.depth"] for t in results.select(stage="search")}) == 3
    assert not results.select(state="FAIL")
