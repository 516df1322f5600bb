"""A cohort: stopped anywhere and resumed it ends the same; what fails, fails alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from kdsearch.config import StudyConfig
from kdsearch.execution import CohortTask, EpochDone, RowDone, RungReached
from kdsearch.execution.cohort import train_cohort
from kdsearch.execution.student import students_path
from tests.execution.conftest import Log, MakeTask, essence


def drive(task: CohortTask, log: Log, should_stop: Callable[[], bool] = lambda: False) -> Log:
    events = train_cohort(task, should_stop)
    answer: frozenset[str] | None = None
    while True:
        try:
            event = events.send(answer)
        except StopIteration:
            return log
        answer = None
        match event:
            case RungReached():
                answer = log.decide(task, event)
            case EpochDone() | RowDone():
                log.notify(task, event)


@pytest.fixture
def whole(make_task: MakeTask, tmp_path: Path) -> Log:
    return drive(make_task(folder=tmp_path / "whole"), Log())


def test_rungs_prune_and_the_rest_trains_to_the_end(
    whole: Log, make_task: MakeTask, tmp_path: Path
) -> None:
    assert [rung for rung, _ in whole.rungs] == [1, 3]
    assert [len(scores) for _, scores in whole.rungs] == [4, 2]
    ended = sorted((o.state, o.epochs) for o in whole.outcomes.values())
    assert ended == [("COMPLETE", 9), ("PRUNED", 1), ("PRUNED", 1), ("PRUNED", 3)]
    for key, outcome in whole.outcomes.items():
        assert [m.epoch for m in outcome.history] == list(range(1, outcome.epochs + 1))
        assert outcome.val is not None
        assert outcome.best_epoch is not None
        assert outcome.val.accuracy == outcome.history[outcome.best_epoch - 1].val_accuracy
        assert outcome.val.accuracy == max(m.val_accuracy for m in outcome.history)
        assert outcome.test is None
        weights = load_file(students_path(tmp_path / "whole" / "students", key))
        assert sum(w.numel() for w in weights.values()) == outcome.num_params


def test_stopped_after_every_single_epoch_it_ends_the_same(
    whole: Log, make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task(folder=tmp_path / "pieces")
    log = Log()
    pieces = 0
    while len(log.outcomes) < 4:
        drive(task, log, should_stop=lambda: True)
        pieces += 1
        assert pieces < 30
    epochs = {"reference": 4 + 2 * 2 + 6, "population": 9}  # one by one, or all in step
    assert pieces == epochs[task.engine] + 1  # and one to tell
    assert essence(log.outcomes) == essence(whole.outcomes)
    assert log.rungs == whole.rungs
    assert log.epochs == whole.epochs


@pytest.mark.parametrize("harm", ["deleted", "damaged"])
def test_without_its_checkpoint_it_starts_again_to_the_same_numbers(
    harm: str, whole: Log, make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task(folder=tmp_path / "harmed")
    log = Log()
    calls = iter([False] * 7 + [True] * 9)
    drive(task, log, should_stop=lambda: next(calls))
    assert task.checkpoint.exists()
    if harm == "deleted":
        task.checkpoint.unlink()
    else:
        content = bytearray(task.checkpoint.read_bytes())
        content[-100] ^= 1
        task.checkpoint.write_bytes(content)
    drive(task, log)
    assert essence(log.outcomes) == essence(whole.outcomes)


def test_a_finished_cohort_only_tells_again(whole: Log, make_task: MakeTask) -> None:
    task = make_task()
    drive(task, Log())
    again = drive(task, Log())
    assert again.epochs == []
    assert again.rungs == []
    assert essence(again.outcomes) == essence(whole.outcomes)


def test_a_row_that_fails_fails_alone_with_its_reason(
    make_task: MakeTask, study: StudyConfig, users_models: str, tmp_path: Path
) -> None:
    settings = [{"learning_rate": 0.05}, {"learning_rate": 0.02}]
    alone = drive(make_task("rows", settings, folder=tmp_path / "alone"), Log())
    good = make_task("rows", settings)
    sgd = make_task("sgd", [{"learning_rate": 1e30, "training.optimizer": "sgd"}])
    rows = [*good.rows, *sgd.rows]
    for name in ("fails", "unbuildable"):
        student = {"kind": "import", "target": f"{users_models}:{name}", "width": 8}
        other = StudyConfig.model_validate(study.model_dump(mode="json") | {"student": student})
        rows += make_task(name, [{}], config=other).rows
    log = drive(replace(good, rows=tuple(rows)), Log())
    failures = {k: o.failure for k, o in log.outcomes.items() if o.state == "FAIL"}
    assert failures.keys() == {"sgd/0", "fails/0", "unbuildable/0"}
    assert "loss became" in (failures["sgd/0"] or "")
    assert "at learning rate 1e+30" in (failures["sgd/0"] or "")
    assert failures["fails/0"] == "KeyError: 'no such layer'"
    assert "width is not to my taste" in (failures["unbuildable/0"] or "")
    assert log.outcomes["sgd/0"].num_params is not None
    kept = {k: o for k, o in log.outcomes.items() if k.startswith("rows")}
    assert essence(kept) == essence(alone.outcomes)


def test_a_population_that_fails_leaves_its_students_to_the_reference_loop(
    make_task: MakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kdsearch.training import Population

    task = replace(make_task(folder=tmp_path / "alone"), engine="reference")
    alone = drive(task, Log())

    def out_of_memory(self: object, epoch: int) -> list[float]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Population, "_train_epoch", out_of_memory)
    task = replace(make_task(folder=tmp_path / "fallen"), engine="population")
    log = drive(task, Log())
    assert essence(log.outcomes) == essence(alone.outcomes)
