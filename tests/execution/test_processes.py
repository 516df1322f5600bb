"""Worker processes: the same numbers, and what happens when somebody is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kdsearch.config import StudyConfig, TeacherConfig
from kdsearch.execution import CohortTask, InlineExecutor, ProcessExecutor, TeacherTask
from tests.execution.conftest import Log, MakeTask, essence

pytestmark = pytest.mark.slow

SETTINGS = [{"learning_rate": 0.05}, {"learning_rate": 0.001}]


@pytest.fixture
def pool() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor(2)
    yield executor
    executor.close()
    assert not executor._workers


def run(executor: InlineExecutor | ProcessExecutor, *tasks: CohortTask | TeacherTask) -> Log:
    log = Log()
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    return log


def killer(
    make_task: MakeTask, study: StudyConfig, models: str, folder: Path, *, times: int
) -> CohortTask:
    """A cohort whose model kills its process some times, in mid-task."""
    file = folder / f"kills-{times}"
    file.write_text(str(times))
    student = {
        "kind": "import", "target": f"{models}:kills", "width": 8, "options": {"file": str(file)}
    }  # fmt: skip
    config = StudyConfig.model_validate(study.model_dump(mode="json") | {"student": student})
    return make_task(f"kills-{times}", SETTINGS[:1], config=config)


def test_killed_once_is_tried_again_and_killed_twice_fails_alone(
    pool: ProcessExecutor,
    make_task: MakeTask,
    study: StudyConfig,
    users_models: str,
    tmp_path: Path,
) -> None:
    never, once, often = (
        killer(make_task, study, users_models, tmp_path, times=times) for times in (0, 1, 9)
    )
    other = make_task("other", SETTINGS, until=3)
    bad = bad_teacher(study, users_models, other.cache)
    inline = run(InlineExecutor(), replace(other, checkpoint=tmp_path / "inline.pt"), bad)
    assert inline.failures == {"teacher/bad": "KeyError: 'no such layer'"}
    log = run(pool, often, once, never, other, bad)
    assert log.failures.keys() == {"kills-9", "teacher/bad"}
    assert log.failures["teacher/bad"] == inline.failures["teacher/bad"]
    assert log.failures["kills-9"] == (
        "its worker process was killed by signal 9, 2 times; out of memory?"
    )
    same = ["kills-0/0", "kills-1/0"]
    assert (tmp_path / "kills-1").read_text() == "0"
    whole, retried = (essence(log.outcomes)[key] for key in same)
    assert whole == retried
    assert inline.paused.keys() == {"other/0", "other/1"}
    assert log.paused == inline.paused


def test_a_worker_that_dies_with_nothing_to_do_is_replaced(
    pool: ProcessExecutor, make_task: MakeTask
) -> None:
    run(pool, make_task("first", SETTINGS[:1]))
    for worker in pool._workers:
        assert worker.process.pid is not None
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.join()
    log = run(pool, make_task("second", SETTINGS[:1]))
    assert log.failures == {}
    assert log.outcomes["second/0"].state == "COMPLETE"


def bad_teacher(study: StudyConfig, models: str, cache: Path) -> TeacherTask:
    model = {"kind": "import", "target": f"{models}:fails", "width": 8}
    teacher = study.teacher.model_dump() | {"model": model, "members": 1}
    return TeacherTask(
        key="teacher/bad",
        teacher=TeacherConfig.model_validate(teacher),
        data=study.data,
        member=1,
        cache=cache,
    )


COORDINATOR = """
import json, os, sys, threading, time
from pathlib import Path
from kdsearch.execution import ProcessExecutor

def notify(task, event):
    if type(event).__name__ == "EpochDone" and not told:
        told.append(1)
        pids = [w.process.pid for w in executor._workers]
        print(json.dumps(pids), flush=True)

told = []
if __name__ == "__main__":
    from tests.execution.orphan import make_tasks
    executor = ProcessExecutor(2)
    executor.run(make_tasks(Path(sys.argv[1])), notify=notify, should_stop=lambda: False)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_workers_end_when_their_coordinator_is_killed(study: StudyConfig, tmp_path: Path) -> None:
    script = tmp_path / "coordinator.py"
    script.write_text(COORDINATOR)
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as coordinator:
        assert coordinator.stdout is not None
        pids = json.loads(coordinator.stdout.readline())
        assert len(pids) == 2
        coordinator.kill()
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(is_alive(pid) for pid in pids)
