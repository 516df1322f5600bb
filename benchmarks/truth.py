"""The truth about one search space, by brute force: a table of trained students.

`python -m benchmarks.truth` trains every setting of a Sobol design at several widths, both arms,
on several seeds each, measures it on the test set, and keeps the learning curves: what a search
should find is looked up here, and searches that know nothing of it can be replayed on it.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from kdsearch.cache import cache_folder
from kdsearch.config import Scalar, StudyConfig, load_study
from kdsearch.config.seed import derive_seed
from kdsearch.execution import (
    CohortTask,
    Event,
    ProcessExecutor,
    StudentDone,
    StudentSpec,
    Task,
    TeacherTask,
)
from kdsearch.results import Arm, Outcome
from kdsearch.results.score import BY_ACCURACY
from kdsearch.study.cohorts import form_cohorts

FILE = Path(__file__).parent / "results" / "truth.npz"
STUDY = Path(__file__).parent / "studies" / "mlp_capacity.yaml"
WIDTHS = (16, 64, 256, 1024)
SETTINGS = 320
SEEDS = 3
ARMS: tuple[Arm, ...] = ("distilled", "baseline")
TUNED = ("temperature", "alpha", "learning_rate", "ensemble_size")

Array = NDArray[np.float32]


class Table(NamedTuple):
    """A row for every student. R specs, E epochs."""

    width: NDArray[np.int32]
    is_baseline: NDArray[np.bool_]
    setting: NDArray[np.int32]
    """Index of the setting in its arm and width."""
    seed: NDArray[np.int32]
    settings: Array
    """[R, 4], in the order of `TUNED`."""
    val_accuracy: Array
    """[R, E], a fraction; NaN where training diverged."""
    val_loss: Array
    """[R, E], in nats."""
    test_accuracy: Array
    """[R], of the best epoch's weights."""

    def save(self, path: Path = FILE) -> None:
        """Write the table, accuracies to four digits."""
        short = {
            name: array.astype(np.float16) if name == "val_loss" else array
            for name, array in self._asdict().items()
        }
        np.savez_compressed(path, **short)

    @classmethod
    def load(cls, path: Path = FILE) -> "Table":
        """Read it back."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(*(stored[name].astype(kind) for name, kind in _KINDS.items()))


_KINDS = {
    "width": np.int32,
    "is_baseline": np.bool_,
    "setting": np.int32,
    "seed": np.int32,
    "settings": np.float32,
    "val_accuracy": np.float32,
    "val_loss": np.float32,
    "test_accuracy": np.float32,
}


def the_study() -> StudyConfig:
    """The study whose space the table covers."""
    return load_study(STUDY)


def design(config: StudyConfig, arm: Arm, count: int) -> list[dict[str, Scalar]]:
    """Settings that fill the search space evenly (scrambled Sobol)."""
    space = config.parameters("nuisance")
    names = TUNED if arm == "distilled" else ("learning_rate",)
    sequence = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(8))
    units = sequence.random_base2(math.ceil(math.log2(count)))[:count]
    found: list[dict[str, Scalar]] = []
    for unit in units:
        point: dict[str, Scalar] = {} if arm == "distilled" else {"alpha": 1.0}
        for name, u in zip(names, unit, strict=True):
            p = space[name]
            if p.values is not None:
                point[name] = p.values[int(u * len(p.values))]
            else:
                assert p.low is not None
                assert p.high is not None
                along = (1 - u) * np.log(p.low) + u * np.log(p.high) if p.log else None
                value = np.exp(along) if along is not None else p.low + u * (p.high - p.low)
                point[name] = float(value)
        found.append(point)
    return found


class Student(NamedTuple):
    """One row to be."""

    arm: Arm
    width: int
    setting: int
    seed: int
    values: dict[str, Scalar]

    def spec(self, config: StudyConfig) -> StudentSpec:
        """What a worker trains."""
        return StudentSpec(
            key="/".join(map(str, (self.arm, self.width, self.setting, self.seed))),
            trial=config.trial_config(self.values | {"width": self.width}),
            seed=derive_seed("truth", self.width, self.seed),
            order_seed=derive_seed("truth order", self.seed),
            opens_test=True,
        )


def train(config: StudyConfig, students: Sequence[Student], *, workers: int) -> dict[str, Outcome]:
    """Train students to their ends, by row key; teachers as far as the cache has none."""
    outcomes: dict[str, Outcome] = {}

    def notify(_task: Task, event: Event) -> None:
        if isinstance(event, StudentDone):
            outcomes[event.key] = event.outcome

    with tempfile.TemporaryDirectory(prefix="kdsearch-truth-") as name:
        folder, cache = Path(name), cache_folder()
        specs = [student.spec(config) for student in students]
        teacher = specs[0].trial.teacher
        bank = [
            TeacherTask(f"teacher-{i}", teacher, config.data, member=i, cache=cache)
            for i in range(1, teacher.members + 1)
        ]
        cohorts = form_cohorts(specs, lambda row: float(row.trial.student.width))
        tasks = [
            CohortTask(
                key=f"cohort-{i}",
                specs=cohort,
                until=None,
                ranking=BY_ACCURACY,
                teacher_data=config.data,
                checkpoint=folder / f"{i}.pt",
                students=folder / "students",
                cache=cache,
                engine="population",
            )
            for i, cohort in enumerate(cohorts)
        ]
        executor = ProcessExecutor(workers)
        try:
            executor.run(bank, notify=notify, should_stop=lambda: False)
            executor.run(tasks, notify=notify, should_stop=lambda: False)
        finally:
            executor.close()
    return outcomes


def tabulate(config: StudyConfig, students: Sequence[Student], *, workers: int) -> Table:
    """Train students and write down what came of them."""
    outcomes = train(config, students, workers=workers)
    epochs = config.training.epochs
    accuracy = np.full((len(students), epochs), np.nan, np.float32)
    loss, test = accuracy.copy(), np.full(len(students), np.nan, np.float32)
    settings = np.full((len(students), len(TUNED)), np.nan, np.float32)
    for i, student in enumerate(students):
        outcome = outcomes[student.spec(config).key]
        for column, name in enumerate(TUNED):
            settings[i, column] = float(student.values.get(name, np.nan))
        if outcome.test is not None:
            test[i] = outcome.test.accuracy
            accuracy[i] = [m.val_accuracy for m in outcome.history]
            loss[i] = [m.val_loss for m in outcome.history]
    return Table(
        np.array([s.width for s in students], np.int32),
        np.array([s.arm == "baseline" for s in students], np.bool_),
        np.array([s.setting for s in students], np.int32),
        np.array([s.seed for s in students], np.int32),
        settings,
        accuracy,
        loss,
        test,
    )


def everyone(config: StudyConfig, *, width: int, settings: int, seeds: int) -> Iterator[Student]:
    """Every row of the table at one width."""
    for arm in ARMS:
        for index, values in enumerate(design(config, arm, settings)):
            for seed in range(seeds):
                yield Student(arm, width, index, seed, values)


def joined(tables: Sequence[Table]) -> Table:
    """One table of several."""
    return Table(*(np.concatenate(columns) for columns in zip(*tables, strict=True)))


def main() -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=int, default=SETTINGS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    config = the_study()
    args.out.parent.mkdir(exist_ok=True)
    tables: list[Table] = []
    for width in args.widths:
        started = time.perf_counter()
        count = {"settings": args.settings, "seeds": args.seeds}
        students = list(everyone(config, width=width, **count))
        tables.append(tabulate(config, students, workers=args.workers))
        joined(tables).save(args.out)  # what there is, in case the rest is interrupted
        seconds = time.perf_counter() - started
        print(f"width {width}: {len(students)} students in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
