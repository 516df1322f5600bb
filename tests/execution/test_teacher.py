"""What members score, and what ends a task: the reason reaches the coordinator, once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdsearch.cache import cache_folder
from kdsearch.config import KdDistillation, StudyConfig, TeacherConfig
from kdsearch.config.seed import derive_seed
from kdsearch.distill import TeacherBank, TeacherInterrupted, ensemble_logits
from kdsearch.errors import UserInputError
from kdsearch.execution import EpochDone, InlineExecutor, ProcessExecutor, Task, TeacherTask
from kdsearch.execution.materials import (
    load_data,
    open_bank,
    plain_data,
    resident_data,
    taught_data,
)
from kdsearch.execution.teacher import fit_member, measure_bank
from kdsearch.models import Classifier, Normalization, build_model
from kdsearch.results import TeacherRecord
from kdsearch.training import StudentRun, evaluate_logits, select_device
from tests.execution.conftest import Log, MakeTask

pytestmark = pytest.mark.slow

LEAVES = """
import sys
from math import prod
from pathlib import Path
from torch import nn

class Leaves(nn.Module):
    def __init__(self, input_shape, num_classes, width, log):
        super().__init__()
        self.log = log
        self.readout = nn.Linear(prod(input_shape), num_classes)

    def forward(self, x):
        if self.training:
            with Path(self.log).open("a") as file:
                file.write("left\\n")
            sys.exit(5)
        return self.readout(x.flatten(1))
"""

Executor = InlineExecutor | ProcessExecutor


@pytest.fixture(params=["inline", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    executor = InlineExecutor() if request.param == "inline" else ProcessExecutor(1)
    yield executor
    executor.close()


def run(executor: Executor, *tasks: Task) -> Log:
    log = Log()
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    return log


@pytest.mark.parametrize("mode", ["logit_mean", "prob_mean"])
def test_members_are_measured_against_the_ensemble_as_it_teaches(
    study: StudyConfig, mode: str
) -> None:
    teacher = TeacherConfig.model_validate(study.teacher.model_dump() | {"ensemble_mode": mode})
    val = load_data(study.data, cache_folder()).val
    bank = TeacherBank(teacher, load_data(study.data, cache_folder()), cache_folder())
    logits = bank.member_logits(val, val.ids)
    ensemble = ensemble_logits(logits, size=2, mode=teacher.ensemble_mode)
    for record in measure_bank(teacher, study.data, cache_folder()).members:
        assert record.val == evaluate_logits(logits[record.member - 1], val.y, ensemble)


def test_students_share_one_copy_of_the_data_on_their_device(study: StudyConfig) -> None:
    sections = (study.data, study.teacher, study.data, cache_folder())
    device = select_device("auto")
    assert resident_data(*sections, device=device) is resident_data(*sections, device=device)
    assert resident_data(*sections, device=device).train_x.device.type == device.type
    assert taught_data(*sections).train_x.device.type == "cpu"


def test_a_teacher_that_exits_fails_alone(
    executor: Executor, study: StudyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves.py").write_text(LEAVES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    log_file = tmp_path / "exits.log"
    model = {
        "kind": "import", "target": "leaves:Leaves", "width": 4, "options": {"log": str(log_file)}
    }  # fmt: skip
    bad = TeacherTask(
        key="teacher/bad",
        teacher=TeacherConfig.model_validate(study.teacher.model_dump() | {"model": model}),
        data=study.data,
        member=1,
        cache=cache_folder(),
    )
    good = replace(bad, key="teacher/good", teacher=study.teacher)
    log = run(executor, bad, good)
    assert log.failures == {"teacher/bad": "SystemExit: 5"}
    assert log_file.read_text() == "left\n"  # one attempt


def test_why_a_cohort_could_not_go_on_is_told_without_a_second_attempt(
    executor: Executor, make_task: MakeTask, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    bad = replace(
        make_task("bad", [{"learning_rate": 0.01}]),
        checkpoint=tmp_path / "file" / "checkpoint.pt",
    )
    good = make_task("good", [{"learning_rate": 0.01}])
    log = run(executor, bad, good)
    assert log.failures.keys() == {"bad"}
    assert log.failures["bad"].startswith("FileExistsError: ")
    assert log.outcomes["good/0"].state == "COMPLETE"
    first_epochs = [epoch for row, epoch in log.epochs if row == "bad/0"]
    assert len(first_epochs) == len(set(first_epochs))  # it did not start again


@pytest.mark.parametrize("keep", ["best", "last"])
@pytest.mark.parametrize("kind", ["mlp", "regularized", "conv1d", "import"])
def test_a_member_stopped_after_every_epoch_is_the_reference_loops(
    study: StudyConfig,
    signal_study: StudyConfig,
    tmp_path: Path,
    users_models: str,
    kind: str,
    keep: str,
) -> None:
    study = signal_study if kind == "conv1d" else study
    name = "conv1d" if kind == "conv1d" else "mlp"
    model: dict[str, object] = {"kind": name, "width": 9, "depth": 2}
    if kind == "regularized":
        model |= {"dropout": 0.3, "input_dropout": 0.1, "max_norm": 0.5}
    if kind == "import":
        model = {"kind": "import", "target": f"{users_models}:works", "width": 9}
    training: dict[str, object] = {"epochs": 4, "learning_rate": 0.002, "patience": 3}
    is_alone = kind in ("regularized", "import")  # the reference loop trains these
    if keep == "last" or is_alone:  # so fast that the last epoch is not the best
        rate = 0.03 if kind == "import" else 0.3
        training |= {"learning_rate": rate, "schedule": "constant", "keep": keep}
    teacher = TeacherConfig.model_validate(
        study.teacher.model_dump() | {"model": model, "training": training}
    )
    task = TeacherTask("member", teacher, study.data, 2, cache_folder())
    results = [fit(task, tmp_path / name, stops=stops) for name, stops in (("a", 0), ("b", 3))]
    (whole, whole_state), (pieces, pieces_state) = results
    assert pieces.model_copy(update={"train_seconds": 0.0}) == whole.model_copy(
        update={"train_seconds": 0.0}
    )
    data = plain_data(study.data, cache_folder())
    alone = StudentRun(
        new_member(task).body,
        data,
        training=teacher.training.model_copy(update={"keep": "best"}),
        distillation=KdDistillation(alpha=1.0),
        width=9,
        order_seed=derive_seed("teacher order", teacher.seed, 2),
    )
    list(alone.epochs(until=4))
    assert whole.epochs == alone.epoch
    kept = alone.kept_state
    if keep == "last" or is_alone:
        assert alone.best_epoch < alone.epoch, "else this shows nothing"
    if keep == "last":
        kept = alone.model.state_dict()
    # At such a rate a rounding that turns one ReLU off is seen.
    atol = 1e-4 if (kind, keep) == ("conv1d", "last") else 1e-5
    for name, value in kept.items():
        assert torch.equal(whole_state[name], pieces_state[name])
        torch.testing.assert_close(whole_state[name], value, atol=atol, rtol=1e-4)


def new_member(task: TeacherTask) -> Classifier:
    dataset = load_data(task.data, task.cache)
    body = build_model(
        task.teacher.model,
        input_shape=dataset.input_shape,
        num_classes=dataset.num_classes,
        seed=7,
    )
    return Classifier(Normalization(dataset.mean, dataset.std), body)


def fit(
    task: TeacherTask, folder: Path, *, stops: int
) -> tuple[TeacherRecord, dict[str, torch.Tensor]]:
    """Train a member that is stopped after each of its first epochs."""
    folder.mkdir()
    for _ in range(stops):
        with pytest.raises(TeacherInterrupted):
            fit_member(
                new_member(task), folder, task=task, notify=ignore, should_stop=lambda: True
            )
    model = new_member(task)
    record = fit_member(model, folder, task=task, notify=ignore, should_stop=lambda: False)
    assert not (folder / "checkpoint.pt").exists()
    return record, dict(model.body.state_dict())


def ignore(event: EpochDone) -> None:
    del event


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_the_engine_of_teachers_is_obeyed(study: StudyConfig, tmp_path: Path, kind: str) -> None:
    states: dict[str, dict[str, torch.Tensor]] = {}
    for engine in ("auto", "reference", "population"):
        task = member_task(study, {"kind": kind, "width": 5, "depth": 1}, engine)
        _, states[engine] = fit(task, tmp_path / engine, stops=0)
    gains = "population" if kind == "mlp" else "reference"
    for name, value in states["auto"].items():
        assert torch.equal(value, states[gains][name])
        torch.testing.assert_close(states["population"][name], states["reference"][name])
    alone, together = states["reference"], states["population"]
    assert not all(torch.equal(alone[n], together[n]) for n in alone), "they cannot be told apart"


def test_engines_that_were_asked_for_have_teachers_of_their_own(study: StudyConfig) -> None:
    model = {"kind": "mlp", "width": 5, "depth": 1}
    tasks = [member_task(study, model, engine) for engine in ("auto", "reference", "population")]
    banks = [open_bank(t.teacher, t.data, t.cache) for t in tasks]
    assert len({bank.member_key(2) for bank in banks}) == 3


def test_a_population_of_a_teacher_with_dropout_is_refused(
    study: StudyConfig, tmp_path: Path
) -> None:
    model = {"kind": "mlp", "width": 5, "depth": 1, "dropout": 0.5}
    with pytest.raises(UserInputError, match=r"^teacher\.training\.engine: .* auto and refer"):
        fit(member_task(study, model, "population"), tmp_path / "a", stops=0)


def member_task(study: StudyConfig, model: dict[str, object], engine: str) -> TeacherTask:
    training = {"epochs": 2, "learning_rate": 0.01, "engine": engine}
    teacher = TeacherConfig.model_validate(
        study.teacher.model_dump() | {"model": model, "training": training}
    )
    return TeacherTask("member", teacher, study.data, 2, cache_folder())
