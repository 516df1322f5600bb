"""Student-epochs a second: the guide's loop under Optuna, a plain loop, and kdsearch's engines.

    python benchmarks/throughput.py [--cores 2] [--teachers 5] [--widths 16,32,64,128] ...

All sides train the same students (784-w-w-10 on Fashion-MNIST, or on noise of its shape where it
is not installed; the speed is the same) from the same weights over the same batches, taught by the
same teachers, so the training losses they report must agree; the largest difference is printed.
On `--cores 2` every side runs as two processes with one torch thread each, which is faster for
all of them than two threads in one process.

- guide:      the loop of the tutorial: DataLoader, every teacher runs for every batch, autograd,
              torch.optim.Adam, `loss.item()` a step; one Optuna trial a student.
- plain:      what a careful user writes next: cached logits, resident tensors, the same autograd.
- reference:  `kdsearch.training.StudentRun`.
- population: `kdsearch.training.Population`.
"""

import argparse
import math
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

SIDES = ("guide", "plain", "reference", "population")
BATCH = 128


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--teachers", type=int, default=5)
    options.add_argument("--widths", default="16,32,64,128", help="comma separated")
    options.add_argument("--students", type=int, default=16, help="students a core")
    options.add_argument("--samples", type=int, default=50_000)
    options.add_argument("--guide-students", type=int, default=1, help="students a core")
    options.add_argument("--depth", type=int, default=2)
    options.add_argument("--sides", default=",".join(SIDES))
    args = options.parse_args()
    widths = [int(width) for width in args.widths.split(",")]
    print(
        f"784-w{'-w' * (args.depth - 1)}-10 students, widths {widths}, {args.students} a core, "
        f"{args.teachers} teachers, {args.samples} samples, batch {BATCH}, {args.cores} cores"
    )
    results = {side: run(side, widths, args) for side in args.sides.split(",")}
    report(results, args)


def run(side: str, widths: list[int], args: argparse.Namespace) -> dict[str, Any]:
    """Train on `cores` processes at once; the slowest decides the time."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(args.cores), context.Queue()
    processes = [
        context.Process(target=work, args=(side, widths, vars(args), barrier, queue))
        for _ in range(args.cores)
    ]
    for process in processes:
        process.start()
    parts = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        "rate": sum(part["students"] for part in parts) / max(part["seconds"] for part in parts),
        "gflops": sum(part["flops"] for part in parts)
        / max(part["seconds"] for part in parts)
        / 1e9,
        "peak": sum(part["peak"] for part in parts),
        "losses": parts[0]["losses"],
    }


def report(results: dict[str, dict[str, Any]], args: argparse.Namespace) -> None:
    """The table, ratios first."""
    population = results.get("population", {}).get("rate", math.nan)
    print(
        f"\n{'side':<12}{'student-epochs/s':>18}{'population is':>15}"
        f"{'GFLOP/s':>10}{'of sgemm':>10}{'max loss diff':>15}"
    )
    for side, result in results.items():
        known = results.get("reference", result)["losses"]
        diff = max(abs(a - b) for a, b in zip(result["losses"], known, strict=False))
        print(
            f"{side:<12}{result['rate']:>18.3f}{population / result['rate']:>14.1f}x"
            f"{result['gflops']:>10.1f}{result['gflops'] / result['peak']:>9.0%}{diff:>15.1e}"
        )
    print("\nGFLOP/s counts the student's matrix products only, not the teachers'.")


def work(side: str, widths: list[int], args: dict[str, Any], barrier: Barrier, queue: Any) -> None:
    """One process: set up, wait for the others, train, say how long it took."""
    import torch

    torch.set_num_threads(1)
    data, teachers = load(args["samples"], args["teachers"], torch)
    count = args["guide_students"] if side == "guide" else args["students"]
    chosen = sorted(widths[i % len(widths)] for i in range(args["students"]))
    picked = chosen if side != "guide" else chosen[:: max(len(chosen) // count, 1)][:count]
    if side == "guide" and count >= len(widths):
        picked = sorted(widths[i % len(widths)] for i in range(count))
    barrier.wait()
    started = time.perf_counter()
    losses = TRAIN[side](picked, data, teachers, args["depth"])
    seconds = time.perf_counter() - started
    peak = sgemm_peak(torch)
    queue.put(
        {
            "students": len(picked),
            "seconds": seconds,
            "flops": sum(flops(w, args["depth"]) for w in picked) * args["samples"],
            "peak": peak,
            "losses": losses,
        }
    )


def flops(width: int, depth: int) -> int:
    """Of one sample's training step: forward, weight gradients, and gradients of hidden units."""
    first, rest = 784 * width, (depth - 1) * width * width + width * 10
    return 2 * (2 * first + 3 * rest)


def sgemm_peak(torch: Any) -> float:
    """GFLOP/s of a large matrix product on this core, best of several."""
    a = torch.randn(1024, 1024)
    best = math.inf
    for _ in range(10):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best / 1e9


def load(samples: int, num_teachers: int, torch: Any) -> tuple[Any, list[Any]]:
    """Training data with teacher logits, and the teachers themselves (random weights)."""
    from kdsearch.config import MlpModel
    from kdsearch.models import build_model, predict_logits
    from kdsearch.training import TrainingData

    x, y = images(samples, torch)
    config = MlpModel(kind="mlp", width=1200, depth=2)
    teachers = [
        build_model(config, input_shape=(784,), num_classes=10, seed=k).eval()
        for k in range(num_teachers)
    ]
    logits = torch.stack([predict_logits(teacher, x) for teacher in teachers])
    val = slice(0, 1000)
    return (
        TrainingData(x, y, x[val], y[val], logits, logits[:, val].mean(dim=0)),
        teachers,
    )


def images(samples: int, torch: Any) -> tuple[Any, Any]:
    """Fashion-MNIST if Debian's package is there, else noise of its shape."""
    if Path("/usr/share/datasets/fashion-mnist").exists():
        from kdsearch.config import FashionMnistData
        from kdsearch.data import load_dataset

        split = load_dataset(FashionMnistData(kind="fashion_mnist", val_fraction=0.1)).train
        return split.x[:samples].flatten(1) / 255, split.y[:samples]
    draw = torch.Generator().manual_seed(0)
    return (
        torch.rand(samples, 784, generator=draw),
        torch.randint(0, 10, (samples,), generator=draw),
    )


def student(width: int, depth: int) -> Any:
    from kdsearch.config import MlpModel
    from kdsearch.models import build_model

    config = MlpModel(kind="mlp", width=width, depth=depth)
    return build_model(config, input_shape=(784,), num_classes=10, seed=width)


def settings() -> tuple[Any, Any]:
    from kdsearch.config import DistillationConfig, TrainingConfig

    training = TrainingConfig(epochs=1, batch_size=BATCH, schedule="constant")
    return training, DistillationConfig(temperature=4.0, alpha=0.7, ensemble_size=1)


def train_guide(widths: list[int], data: Any, teachers: list[Any], depth: int) -> list[float]:
    import optuna
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset

    from kdsearch.training import epoch_order

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        model = student(widths[trial.number], depth)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        order = epoch_order(0, 1, len(data.train_y)).tolist()
        loader = DataLoader(
            TensorDataset(data.train_x, data.train_y), batch_size=BATCH, sampler=order
        )
        model.train()
        total = 0.0
        for inputs, labels in loader:
            logits = model(inputs)
            with torch.no_grad():
                taught = sum(teacher(inputs) for teacher in teachers) / len(teachers)
            soft = F.kl_div(
                F.log_softmax(logits / 4.0, dim=1),
                F.softmax(taught / 4.0, dim=1),
                reduction="batchmean",
            )
            loss = 0.7 * F.cross_entropy(logits, labels) + 0.3 * soft * 16.0
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        return total / len(data.train_y)

    study = optuna.create_study()
    study.optimize(objective, n_trials=len(widths))
    return [trial.value or math.nan for trial in study.trials]


def train_plain(widths: list[int], data: Any, teachers: list[Any], depth: int) -> list[float]:
    import torch
    import torch.nn.functional as F

    from kdsearch.training import epoch_order

    taught = data.teacher_train.mean(dim=0)
    losses = []
    for width in widths:
        model = student(width, depth)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        total = 0.0
        for batch in epoch_order(0, 1, len(data.train_y)).split(BATCH):
            labels = data.train_y[batch]
            logits = model(data.train_x[batch])
            soft = F.kl_div(
                F.log_softmax(logits / 4.0, dim=1),
                F.softmax(taught[batch] / 4.0, dim=1),
                reduction="batchmean",
            )
            loss = 0.7 * F.cross_entropy(logits, labels) + 0.3 * soft * 16.0
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        losses.append(total / len(data.train_y))
    return losses


def train_reference(widths: list[int], data: Any, teachers: list[Any], depth: int) -> list[float]:
    from kdsearch.training import StudentRun

    training, distillation = settings()
    distillation = distillation.model_copy(update={"ensemble_size": len(teachers)})
    losses = []
    for width in widths:
        run = StudentRun(
            student(width, depth),
            data,
            training=training,
            distillation=distillation,
            width=width,
            order_seed=0,
        )
        losses += [metrics.train_loss for metrics in run.epochs(until=1)]
    return losses


def train_population(widths: list[int], data: Any, teachers: list[Any], depth: int) -> list[float]:
    from kdsearch.training import Member, Population, Progress

    training, distillation = settings()
    distillation = distillation.model_copy(update={"ensemble_size": len(teachers)})
    members = [
        Member(student(width, depth), training, distillation, Progress(training))
        for width in widths
    ]
    population = Population(members, data, order_seed=0)
    for _ in population.epochs(until=1):
        pass
    return [member.progress.history[0].train_loss for member in members]


TRAIN = {
    "guide": train_guide,
    "plain": train_plain,
    "reference": train_reference,
    "population": train_population,
}


if __name__ == "__main__":
    main()
