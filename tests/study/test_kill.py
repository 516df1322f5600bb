"""A study whose process is killed again and again ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow.entities import Run

import kdsearch
from kdsearch.results import Results
from kdsearch.study.storage.database import connect_existing
from kdsearch.study.storage.ledger import Ledger
from tests.conftest import WriteStudy
from tests.study.methods import METHODS
from tests.study.test_run import essence, run

pytestmark = pytest.mark.slow

KDSEARCH = str(Path(sys.executable).with_name("kdsearch"))
MARK = "KDSEARCH_TEST_MARK"
# Worker processes need seconds to start, so their kills come later.
KILLS: Sequence[tuple[str, str, tuple[float, float]]] = (
    ("0", "study ", (0.0, 0.5)),
    ("0", "search:", (0.0, 0.3)),
    ("0", "search:", (0.2, 0.8)),
    ("0", "search:", (0.3, 1.0)),
    ("2", "search:", (0.0, 2.0)),
    ("2", "search:", (2.0, 4.0)),
    ("0", "", (1.0, 3.0)),
)


def start(path: Path, mark: str, *, workers: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [KDSEARCH, "study", "run", path.name, "--workers", workers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {MARK: mark},
        start_new_session=True,
    )


def wait_for_line(process: subprocess.Popen[str], beginning: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return
    assert process.stderr is not None
    raise AssertionError(f"no line begins with {beginning}: {process.stderr.read()}")


def marked(mark: str) -> list[str]:
    """Command lines of the processes that a test has started and that still live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}" in (folder / "environ").read_text():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def wait_until_gone(mark: str, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert marked(mark) == []


def runs_of(name: str, study_id: str) -> list[Run]:
    experiment = mlflow.get_experiment_by_name(name)
    assert experiment is not None
    runs = mlflow.MlflowClient().search_runs([experiment.experiment_id], max_results=1000)
    return [r for r in runs if r.data.tags.get("kdsearch.key", "").startswith(study_id)]


def check_nothing_is_left(results: Results, num_teachers: int) -> None:
    name = results.config.name
    for part in (name, f"{name}/baseline", f"{name}/confirm"):
        study = optuna.load_study(study_name=part, storage="sqlite:///kdsearch.db")
        assert all(trial.state.is_finished() for trial in study.trials)
    ledger = Ledger(connect_existing("sqlite:///kdsearch.db"), name)
    runs = runs_of(name, ledger.study_id)
    keys = [r.data.tags["kdsearch.key"].removeprefix(f"{ledger.study_id}/") for r in runs]
    assert len(set(keys)) == len(keys), "no run twice"
    assert len(keys) == 1 + num_teachers + len(results.trials)
    assert {t.key for t in results.trials} < set(keys)
    assert {r.info.status for r in runs} == {"FINISHED"}
    ids = {r.info.run_id for r in runs}
    assert {t.mlflow_run_id for t in results.trials} < ids


@pytest.mark.timeout(240)
@pytest.mark.parametrize("method", ["tpe", "surface-halving"])
def test_killed_seven_times_it_ends_as_if_it_had_run_through(
    write_study: WriteStudy,
    method: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_study(name="killed", training__epochs=120, **METHODS[method])
    whole = run(path)
    folder = tmp_path_factory.mktemp("killed")
    (folder / path.name).write_text(path.read_text())
    monkeypatch.chdir(folder)
    mark = str(folder)
    chance = random.Random(0)
    kills = 0
    for workers, beginning, (low, high) in KILLS:
        with start(path, mark, workers=workers) as process:
            if beginning:
                wait_for_line(process, beginning)
            time.sleep(chance.uniform(low, high))
            kills += process.poll() is None
            process.kill()
    assert kills >= 6
    ended = subprocess.run(
        [KDSEARCH, "study", "run", path.name, "--workers", "2"],
        capture_output=True, text=True, env=os.environ | {MARK: mark},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    wait_until_gone(mark)
    results = kdsearch.load_results("killed")
    assert [essence(t) for t in results.trials] == [essence(t) for t in whole.trials]
    assert len(results.select(stage="search", arm="distilled")) == 2 * 6
    for part in ("killed", "killed/baseline"):
        one, other = (
            optuna.load_study(study_name=part, storage=f"sqlite:///{where / 'kdsearch.db'}")
            for where in (path.parent, folder)
        )
        told = [
            [(t.params, t.values, t.intermediate_values) for t in s.trials] for s in (one, other)
        ]
        assert told[0] == told[1]
    check_nothing_is_left(results, num_teachers=2)


@pytest.mark.timeout(120)
def test_asked_to_stop_it_keeps_everything_and_says_how_to_go_on(
    write_study: WriteStudy, folder: Path
) -> None:
    path = write_study(name="asked", training__epochs=5000, pruner={"kind": "none"})
    mark = str(folder)
    # Ctrl-C in a terminal reaches the workers, too: here while they start, then while they train.
    for number, seconds in ((signal.SIGINT, 0.5), (signal.SIGTERM, 5.0)):
        with start(path, mark, workers="1") as process:
            wait_for_line(process, "search:")
            time.sleep(seconds)
            os.killpg(process.pid, number)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err == (
            "study asked was interrupted and everything is kept; run the same command again to "
            "go on\n"
        )
    wait_until_gone(mark)
    results = kdsearch.load_results("asked")
    assert {t.state for t in results.trials} == {"RUNNING"}
    assert list((folder / ".kdsearch/asked/checkpoints").iterdir())
    ledger = Ledger(connect_existing("sqlite:///kdsearch.db"), "asked")
    parent = next(
        r for r in runs_of("asked", ledger.study_id) if "study" in r.data.tags["kdsearch.key"]
    )
    assert parent.info.status == "KILLED"
    assert parent.data.tags["kdsearch.state"] == "interrupted"
