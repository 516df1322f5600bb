"""Student-epochs a second: the guide's loop under Optuna, plain loops, and kdsearch's engines.

Run:  .venv/bin/python -m benchmarks.throughput [--cores 1,2] [--rounds 3] [--json FILE] ...
Time: about 15 minutes on 2 cores; `--students mlp --teachers 5 --cores 2` takes 4.

Every side trains students 784-w-w-10 of Fashion-MNIST (50,000 training, 10,000 validation samples,
batch 128, a validation an epoch; noise of that shape where it is not installed) with their own
temperature, alpha and learning rate from the same weights over the same batches, taught by the
same 784-1200-1200-10 teachers (random weights: the time does not depend on them).

- guide:      the guide's loop as an Optuna objective (`loops.train_guide`): DataLoader, all
              teachers forward for every batch. Its steps are timed on an epoch of fewer batches
              (`--guide-batches`) and charged for all of them; its validation is timed whole.
              On two cores it has a second row, `as it stands`: one process with two threads, which
              is what running the tutorial gives.
- plain:      cached logits, resident tensors, autograd, Adam (`loops.train_plain`), without and
              with `fused=True`.
- reference:  `kdsearch.training.StudentRun`, one student after the other.
- population: `MlpPopulation`, 16 students a process; convolutional ones `FunctionalPopulation`.

Sides take turns, round by round; figures are medians over rounds. On two cores each side is two
processes with students of their own and one thread each; guide and plain loop are also tried as
one process with two threads, and the faster way counts. Setting up (models, optimizers, targets,
stacks) is not in the rate but in a column of its own; the cache of logits is made once for all.
`max loss diff` is relative to the reference's, over the first and the second epoch; `in double`
is the larger of the two where both sides compute in 64 bits, so that it is no rounding.
"""

import argparse
import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.engines import CHUNK
from benchmarks.machine import (
    add_json_option,
    header,
    print_table,
    this_machine,
    write_json,
)
from benchmarks.problem import (
    BATCH,
    Spec,
    cnn,
    flops_per_sample,
    is_installed,
    mlp,
    random_teachers,
    samples,
    specs,
    with_logits,
)
from benchmarks.workers import SERIAL_GUIDE, SIDES, Done, Job, Workers
from kdsearch.training import TrainingData

GUIDES = ("guide", SERIAL_GUIDE)
PROBE_BATCHES = 10
CONV_WIDTH = 16


class Case(NamedTuple):
    """One table: students of some widths, taught by some teachers, on some cores."""

    kind: str
    widths: tuple[int, ...]
    num_teachers: int
    cores: int

    @property
    def title(self) -> str:
        """For people."""
        widths = ", ".join(map(str, self.widths))
        return f"{self.kind} width {widths}; {self.num_teachers} teacher(s); {self.cores} core(s)"

    def students(self, count: int) -> tuple[Spec, ...]:
        """So many students, the widths in turn."""
        make = mlp if self.kind == "mlp" else cnn
        return tuple(specs([make(self.widths[i % len(self.widths)]) for i in range(count)]))


class Options(NamedTuple):
    """How long to measure."""

    rounds: int
    batches: int | None
    guide_batches: int
    epochs: int
    students: int


class Side(NamedTuple):
    """One row of a table; what is a list has an element a round."""

    name: str
    way: str
    """How the cores are used."""
    rates: list[float]
    """Student-epochs a second of all cores."""
    setup: list[float]
    """Seconds a student."""
    gflops: list[float]
    share: list[float]
    """Of the sgemm peak of the cores, measured right after."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cores", default="1,2")
    options.add_argument("--teachers", default="1,5")
    options.add_argument("--widths", default="16+32+64+128,16,64,256", help="+ trains together")
    options.add_argument("--students", default="mlp,cnn", help="kinds: mlp, cnn")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--samples", type=int, default=50_000)
    options.add_argument("--val-samples", type=int, default=10_000)
    options.add_argument("--guide-batches", type=int, default=40)
    options.add_argument("--conv-batches", type=int, default=40, help="an epoch of all sides")
    options.add_argument("--population", type=int, default=CHUNK, help="students a process")
    options.add_argument("--epochs", type=int, default=2, help="of a population a round")
    add_json_option(options)
    args = options.parse_args()
    machine = this_machine()
    print(header(machine))
    print(f"data: {'Fashion-MNIST' if is_installed() else 'noise'}, {args.samples} samples")
    cases = list(cases_of(args))
    most = max(case.num_teachers for case in cases)
    cached = with_logits(samples(args.samples, args.val_samples), random_teachers(most))
    print(f"cache of {most} teachers' logits: {cached.seconds:.1f} s on one core, made once\n")
    results = []
    with Workers(max(case.cores for case in cases), cached.data) as workers:
        for case in cases:
            length = Options(
                rounds=args.rounds,
                batches=args.conv_batches if case.kind == "cnn" else None,
                guide_batches=min(args.guide_batches, -(-args.samples // BATCH)),
                epochs=args.epochs if case.kind == "mlp" else 1,
                students=args.population if case.kind == "mlp" else min(args.population, 4),
            )
            results.append(measure(case, workers, cached.data, length))
    write_json(args.json, machine, {"logits_cache_seconds": cached.seconds, "cases": results})


def cases_of(args: argparse.Namespace) -> Iterator[Case]:
    """All tables; convolutional students for one teacher only, as their cost is their own."""
    kinds = args.students.split(",")
    cores = [int(count) for count in args.cores.split(",")]
    teachers = [int(count) for count in args.teachers.split(",")]
    if "mlp" in kinds:
        for text in args.widths.split(","):
            for count in cores:
                for num_teachers in teachers:
                    widths = tuple(int(width) for width in text.split("+"))
                    yield Case("mlp", widths, num_teachers, count)
    if "cnn" in kinds:
        for count in cores:
            yield Case("cnn", (CONV_WIDTH,), teachers[0], count)


def measure(case: Case, workers: Workers, data: TrainingData, length: Options) -> dict[str, Any]:
    """Check that all sides agree, then time them in turns, and print the table."""
    sides = [name for name in SIDES if case.kind == "mlp" or name not in GUIDES]
    if case.cores == 1:
        sides = [name for name in sides if name != SERIAL_GUIDE]
    differences = check(case, sides, workers, length)
    in_double = check(case, sides, workers, length, is_double=True)
    ways = {name: fastest_way(name, case, workers) for name in sides}
    rows = {name: Side(name, ways[name][0], [], [], [], []) for name in sides}
    for _ in range(length.rounds):
        for name in sides:
            threads = case.cores if ways[name][0].endswith("threads") else 1
            job = job_for(name, case, length)._replace(threads=threads)
            count = 1 if threads > 1 else case.cores
            add_round(rows[name], job, workers.run([job] * count), data, length)
    print(case.title)
    table = [told(row, rows, differences, in_double) for row in rows.values()]
    print_table(table)
    return {
        "case": case._asdict(),
        "rounds": {name: row._asdict() for name, row in rows.items()},
        "tried_seconds": {name: tried for name, (_, tried) in ways.items() if tried},
        "max_loss_difference": differences,
        "max_loss_difference_in_double": in_double,
        "table": table,
    }


def check(
    case: Case, sides: Sequence[str], workers: Workers, length: Options, *, is_double: bool = False
) -> dict[str, list[float]]:
    """Largest relative difference of an epoch's loss from the reference's, by side and epoch.

    Two epochs of the batches that the guide's loop is timed on, one student of each width.
    """
    chosen = case.students(len(case.widths))
    losses = {}
    for name in sides:
        job = Job(name, chosen, case.num_teachers, epochs=2, num_batches=length.guide_batches)
        job = job._replace(is_double=is_double)
        (done,) = workers.run([job])
        losses[name] = list(zip(*done.trained.losses, strict=True))
    return {
        name: [
            max(abs(a - b) / abs(b) for a, b in zip(*epoch, strict=True))
            for epoch in zip(found, losses["reference"], strict=True)
        ]
        for name, found in losses.items()
    }


def fastest_way(name: str, case: Case, workers: Workers) -> tuple[str, dict[str, float]]:
    """How a side uses the cores, and the seconds that the ways of the loops took for as much."""
    if case.cores == 1:
        return "1 process", {}
    processes = f"{case.cores} processes"
    if name == SERIAL_GUIDE:
        return f"{case.cores} threads", {}
    if name not in ("guide", "plain", "plain, fused Adam"):
        return processes, {}
    job = Job(name, case.students(1), case.num_teachers, epochs=1, num_batches=PROBE_BATCHES)
    apart = max(done.trained.train_seconds for done in workers.run([job] * case.cores))
    (done,) = workers.run([job._replace(threads=case.cores)])
    together = done.trained.train_seconds * case.cores
    tried = {processes: apart, f"{case.cores} threads": together}
    return min(tried, key=lambda way: tried[way]), tried


def job_for(name: str, case: Case, length: Options) -> Job:
    """What one process does in a round."""
    is_together = name == "population"
    return Job(
        side=name,
        specs=case.students(length.students if is_together else len(case.widths)),
        num_teachers=case.num_teachers,
        epochs=length.epochs if is_together else 1,
        num_batches=length.guide_batches if name in GUIDES else length.batches,
    )


def add_round(
    side: Side, job: Job, done: Sequence[Done], data: TrainingData, length: Options
) -> None:
    """Take in one round; the slowest process decides."""
    whole = len(data.train_y) if length.batches is None else length.batches * BATCH
    trained_on = len(data.train_y) if job.num_batches is None else job.num_batches * BATCH
    # Charged for the samples of an epoch, of which the guide's loop has done a part.
    seconds = max(
        d.trained.train_seconds * whole / trained_on + d.trained.val_seconds for d in done
    )
    student_epochs = len(job.specs) * job.epochs * len(done)
    flops = sum(
        train * whole + forward * len(data.val_y)
        for train, forward in map(flops_per_sample, job.specs)
    )
    gflops = flops * job.epochs * len(done) / seconds / 1e9
    side.rates.append(student_epochs / seconds)
    side.setup.append(max(d.trained.setup_seconds for d in done) / len(job.specs))
    side.gflops.append(gflops)
    side.share.append(gflops / sum(d.sgemm_gflops for d in done))


def told(
    side: Side,
    rows: dict[str, Side],
    differences: dict[str, list[float]],
    in_double: dict[str, list[float]],
) -> dict[str, str]:
    """A row of the table. Ratios are medians of the rounds' own ratios."""
    population, reference = rows["population"].rates, rows["reference"].rates

    def ratio(rates: Sequence[float]) -> str:
        pairs = zip(rates, side.rates, strict=True)
        return f"{statistics.median(a / b for a, b in pairs):.2f}x"

    return {
        "side": side.name,
        "as": side.way,
        "student-epochs/s": f"{statistics.median(side.rates):.3f}",
        "population is": ratio(population),
        "reference is": ratio(reference),
        "set-up s/student": f"{statistics.median(side.setup):.3f}",
        "GFLOP/s": f"{statistics.median(side.gflops):.1f}",
        "of sgemm": f"{statistics.median(side.share):.0%}",
        "max loss diff": ", ".join(f"{d:.0e}" for d in differences[side.name]),
        "in double": f"{max(in_double[side.name]):.0e}",
    }


if __name__ == "__main__":
    main()
