"""Real cohorts on a small real data set, with teachers trained once for all tests."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kdsearch.cache import cache_folder
from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution import (
    CohortTask,
    InlineExecutor,
    StudentSpec,
    TeacherTask,
)
from kdsearch.execution.task import EngineName
from kdsearch.results import Outcome
from kdsearch.results.score import BY_ACCURACY
from kdsearch.testing.executor import Log
from kdsearch.testing.small_study import small_study

USERS_MODELS = '''
import os
import signal
from math import prod
from pathlib import Path

import torch
from torch import nn


class Body(nn.Module):
    def __init__(self, input_shape, num_classes, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(prod(input_shape), width), nn.Linear(width, num_classes)
        )

    def forward(self, x):
        return self.body(x)


class Fails(Body):
    def forward(self, x):
        if self.training and len(x) > 2:
            raise KeyError("no such layer")
        return super().forward(x)


class Kills(Body):
    """Kills its process at an early epoch, as often as the file says."""

    def __init__(self, input_shape, num_classes, width, file):
        super().__init__(input_shape, num_classes, width)
        self.file, self.steps = file, 0

    def forward(self, x):
        self.steps += self.training
        left = int(Path(self.file).read_text())
        if self.steps == 25 and left:
            Path(self.file).write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def works(input_shape, num_classes, width):
    return Body(input_shape, num_classes, width)


def drops(input_shape, num_classes, width):
    return nn.Sequential(nn.Dropout(0.1), Body(input_shape, num_classes, width))


class InRefit(Body):
    """Does something where the batch has the size that only its refit has."""

    def __init__(self, input_shape, num_classes, width, size):
        super().__init__(input_shape, num_classes, width)
        self.size = size

    def forward(self, x):
        y = super().forward(x)
        return self.act(y) if self.training and len(x) == self.size else y


class KillsRefit(InRefit):
    def __init__(self, input_shape, num_classes, width, size, file):
        super().__init__(input_shape, num_classes, width, size)
        self.file = file

    def act(self, y):
        left = int(Path(self.file).read_text())
        if left:
            Path(self.file).write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return y


class BreaksRefit(InRefit):
    def act(self, y):
        return y * float("nan")


class RaisesRefit(InRefit):
    def act(self, y):
        raise KeyError("not again")


class Clips(Body):
    """Wants its weights within bounds after each step."""

    def constrain(self):
        for value in self.parameters():
            value.data.clamp_(-0.1, 0.1)


def kills_refit(input_shape, num_classes, width, size, file):
    return KillsRefit(input_shape, num_classes, width, size, file)


def breaks_refit(input_shape, num_classes, width, size):
    return BreaksRefit(input_shape, num_classes, width, size)


def raises_refit(input_shape, num_classes, width, size):
    return RaisesRefit(input_shape, num_classes, width, size)


def clips(input_shape, num_classes, width):
    return Clips(input_shape, num_classes, width)


class Adds(nn.Module):
    """Has weights and no matrix."""

    def __init__(self, num_classes):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(num_classes))

    def forward(self, x):
        return x.flatten(1)[:, 20 : 20 + len(self.scale)] * self.scale


def adds(input_shape, num_classes, width):
    return Adds(num_classes)


def fails(input_shape, num_classes, width):
    return Fails(input_shape, num_classes, width)


def kills(input_shape, num_classes, width, file):
    return Kills(input_shape, num_classes, width, file)


def unbuildable(input_shape, num_classes, width):
    raise ValueError("width is not to my taste")
'''


@pytest.fixture
def users_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an importable module of models that misbehave."""
    name = f"models_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(USERS_MODELS))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def essence(outcomes: dict[str, Outcome]) -> dict[str, dict[str, object]]:
    """Outcomes without the time they took."""
    return {k: o.model_dump(exclude={"train_seconds"}) for k, o in sorted(outcomes.items())}


@pytest.fixture(scope="session")
def study(shared_state: None) -> StudyConfig:
    """A study whose teachers are trained."""
    return with_teachers(small_study())


@pytest.fixture(scope="session")
def signal_study(shared_state: None) -> StudyConfig:
    """The same for students that read signals."""
    data = {"kind": "mnist1d", "train_samples": 600, "test_samples": 100}
    return with_teachers(small_study(data=data))


def with_teachers(config: StudyConfig) -> StudyConfig:
    """The study, its teachers trained."""
    executor, log = InlineExecutor(), Log()
    tasks = [
        TeacherTask(
            key=f"teacher/{member}",
            teacher=config.teacher,
            data=config.data,
            member=member,
            cache=cache_folder(),
        )
        for member in (1, 2)
    ]
    executor.run(tasks, notify=log.notify, should_stop=lambda: False)
    assert not log.failures
    return config


MakeTask = Callable[..., CohortTask]
SETTINGS: tuple[dict[str, Scalar], ...] = (
    {"learning_rate": 0.05, "alpha": 0.5},
    {"learning_rate": 0.001, "alpha": 0.0},
    {"learning_rate": 0.02, "alpha": 1.0},
    {"learning_rate": 0.0005, "alpha": 0.5},
)


@pytest.fixture(params=["reference", "population"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    return request.param


@pytest.fixture
def make_task(study: StudyConfig, tmp_path: Path, engine: EngineName) -> MakeTask:
    def make(
        key: str = "cohort",
        settings: Sequence[dict[str, Scalar]] = SETTINGS,
        *,
        config: StudyConfig = study,
        folder: Path = tmp_path,
        until: int | None = None,
    ) -> CohortTask:
        rows = tuple(
            StudentSpec(
                key=f"{key}/{index}",
                trial=config.trial_config({"width": 8, "temperature": 2.0} | one),
                seed=1,
                order_seed=2,
            )
            for index, one in enumerate(settings)
        )
        return CohortTask(
            key=key,
            specs=rows,
            until=until,
            ranking=BY_ACCURACY,
            teacher_data=config.data,
            checkpoint=folder / "checkpoints" / f"{key}.pt",
            students=folder / "students",
            cache=cache_folder(),
            engine=engine,
        )

    return make
