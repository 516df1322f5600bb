"""Student-epochs a second of conv1d students together over those of the reference loop.

Run:  .venv/bin/python -m benchmarks.signals [--widths 2,4,8,16,32,48] [--together 1,2,4,8,16] ...
Time: about 4 minutes on one core.

Signals of mnist1d's shape (4,000 training, 6,000 validation samples of noise: the speed is the
same on any), batch 128, three convolutions, two teachers' cached logits, Adam. Both sides train
whole epochs, loss, optimizer and validation included, in turns in one process with one thread;
figures are from the fastest epoch's.
"""

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.machine import header, print_table, this_machine
from benchmarks.problem import BATCH, NUM_CLASSES, Spec, build, specs
from kdsearch.config import Conv1dModel
from kdsearch.training import (
    FunctionalPopulation,
    PopulationStudent,
    Progress,
    StudentRun,
    TrainingData,
)

LENGTH, DEPTH, NUM_TEACHERS = 40, 3, 2
EPOCHS = 10_000
"""More than are timed."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--widths", default="2,4,8,16,32,48")
    options.add_argument("--together", default="1,2,4,8,16")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--train-samples", type=int, default=4_000)
    options.add_argument("--val-samples", type=int, default=6_000)
    args = options.parse_args()
    torch.set_num_threads(1)
    print(header(this_machine()))
    data = noise(args.train_samples, args.val_samples)
    together = [int(count) for count in args.together.split(",")]
    rows = []
    for width in map(int, args.widths.split(",")):
        students = specs([Conv1dModel(kind="conv1d", width=width, depth=DEPTH)] * max(together))
        sides = {0: reference(students[0], data)}
        sides |= {count: population(students[:count], data) for count in together}
        seconds = fastest_epochs(sides, args.rounds)
        row = {"width": str(width), "reference ms": f"{1000 * seconds[0]:.0f}"}
        row |= {f"{n} together": f"{seconds[0] / (seconds[n] / n):.1f}x" for n in together}
        rows.append(row)
    print(f"batch {BATCH}, {args.train_samples} + {args.val_samples} samples [{LENGTH}]; an epoch")
    print_table(rows)


def noise(num_train: int, num_val: int) -> TrainingData:
    """Signals with the logits of some teachers."""
    draw = torch.Generator().manual_seed(0)
    return TrainingData(
        train_x=torch.randn(num_train, LENGTH, generator=draw),
        train_y=torch.randint(0, NUM_CLASSES, (num_train,), generator=draw),
        val_x=torch.randn(num_val, LENGTH, generator=draw),
        val_y=torch.randint(0, NUM_CLASSES, (num_val,), generator=draw),
        teacher_train=torch.randn(NUM_TEACHERS, num_train, NUM_CLASSES, generator=draw),
        teacher_val=torch.randn(num_val, NUM_CLASSES, generator=draw),
    )


def reference(spec: Spec, data: TrainingData) -> Callable[[], object]:
    """Trains one student for one epoch more."""
    run = StudentRun(
        build(spec, data),
        data,
        training=spec.training(EPOCHS),
        distillation=spec.distillation(NUM_TEACHERS),
        width=spec.student.width,
        order_seed=spec.order_seed,
    )
    epochs = run.epochs(until=EPOCHS)
    return lambda: next(epochs)


def population(students: list[Spec], data: TrainingData) -> Callable[[], object]:
    """Trains some students together for one epoch more."""
    members = [
        PopulationStudent(
            build(spec, data),
            spec.training(EPOCHS),
            spec.distillation(NUM_TEACHERS),
            Progress(spec.training(EPOCHS)),
            spec.order_seed,
        )
        for spec in students
    ]
    stack = FunctionalPopulation(members, data, width=students[0].student.width)
    epochs = stack.epochs(until=EPOCHS)
    return lambda: next(epochs)


def fastest_epochs(sides: dict[int, Callable[[], object]], rounds: int) -> dict[int, float]:
    """Seconds of an epoch of each side, after one that warms up."""
    seconds: dict[int, list[float]] = {name: [] for name in sides}
    for _ in range(1 + rounds):
        for name, train in sides.items():
            started = time.process_time()
            train()
            seconds[name].append(time.process_time() - started)
    return {name: min(times[1:]) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
