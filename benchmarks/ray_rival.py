"""The search of `ray_tune.py` under Ray Tune; runs in Ray's own environment and prints JSON.

Written as a good user of Ray writes it: data and cached logits in Ray's object store, one core a
trial, actors reused, one report an epoch, ASHA.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import ray
import torch
import torch.nn.functional as F
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from benchmarks.loops import guide_loss
from benchmarks.problem import (
    BATCH,
    TENSORS,
    Spec,
    build,
    load_data,
    mlp,
    random_teachers,
    training_data,
)
from kdsearch.training import TrainingData

REDUCTION = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--storage", type=Path, required=True)
    options.add_argument("--started", type=float, required=True, help="time of day")
    options.add_argument("--scheduler", choices=["asha", "fifo"], required=True)
    options.add_argument("--width", type=int, required=True)
    options.add_argument("--epochs", type=int, required=True)
    options.add_argument("--trials", type=int, required=True)
    options.add_argument("--min-epochs", type=int, required=True)
    options.add_argument("--cores", type=int, required=True)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--live-teachers", type=int, default=0, help="0: cached logits")
    args = options.parse_args()
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    ray.init(num_cpus=args.cores, include_dashboard=False, log_to_driver=False)
    shared = load_data(args.data)
    arrays = {name: getattr(shared, name).numpy() for name in TENSORS}
    settings = {
        "temperature": tune.loguniform(1.0, 20.0),
        "alpha": tune.uniform(0.0, 1.0),
        "learning_rate": tune.loguniform(3e-4, 3e-2),
    }
    fixed = {"width": args.width, "epochs": args.epochs, "live_teachers": args.live_teachers}
    trainable = tune.with_resources(
        tune.with_parameters(train, arrays=arrays, fixed=fixed), {"cpu": 1}
    )
    tuner = tune.Tuner(
        trainable,
        param_space=settings,
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=args.trials,
            scheduler=scheduler(args),
            search_alg=tune.search.BasicVariantGenerator(random_state=args.seed),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(args.storage), verbose=0),
    )
    grid = tuner.fit()
    wall = time.time() - args.started
    metrics = [result.metrics or {} for result in grid]
    histories = [result.metrics_dataframe for result in grid]
    scores = [float(h["val_accuracy"].max()) for h in histories if len(h) == args.epochs]
    told = {
        "wall_seconds": wall,
        "trials": len(metrics),
        "errors": len(grid.errors),
        "epochs": sum(len(h) for h in histories),
        "complete": len(scores),
        "best": max(scores, default=0.0),
        "epoch_seconds": sum(float(h["epoch_seconds"].sum()) for h in histories)
        / sum(len(h) for h in histories),
    }
    print(json.dumps(told))


def scheduler(args: argparse.Namespace) -> TrialScheduler:
    """ASHA with kdsearch's rungs, or none."""
    if args.scheduler == "fifo":
        return FIFOScheduler()
    return ASHAScheduler(
        max_t=args.epochs, grace_period=args.min_epochs, reduction_factor=REDUCTION
    )


def train(config: dict[str, float], arrays: dict[str, Any], fixed: dict[str, int]) -> None:
    """One trial: the plain loop with cached logits, or the guide's with live teachers."""
    torch.set_num_threads(1)
    data = data_of(arrays)
    spec = Spec(
        mlp(fixed["width"]),
        seed=0,
        temperature=config["temperature"],
        alpha=config["alpha"],
        learning_rate=config["learning_rate"],
    )
    model = build(spec, data)
    optimizer = torch.optim.Adam(model.parameters(), lr=spec.learning_rate)
    assert data.teacher_train is not None
    heat, alpha = spec.temperature, spec.alpha
    targets = F.softmax(data.teacher_train.mean(dim=0) / heat, dim=1)
    teachers = random_teachers(fixed["live_teachers"])
    for _ in range(fixed["epochs"]):
        started = time.perf_counter()
        model.train()
        for batch in torch.randperm(len(data.train_y)).split(BATCH):
            inputs, labels = data.train_x[batch], data.train_y[batch]
            logits = model(inputs)
            if teachers:
                with torch.no_grad():
                    answers = torch.stack([teacher(inputs) for teacher in teachers])
                taught = answers.mean(dim=0)
                loss = guide_loss(logits, taught, labels, temperature=heat, alpha=alpha)
            else:
                soft = F.kl_div(
                    F.log_softmax(logits / heat, dim=1), targets[batch], reduction="batchmean"
                )
                loss = alpha * F.cross_entropy(logits, labels) + (1 - alpha) * heat**2 * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            guesses = model(data.val_x).argmax(dim=1)
        accuracy = float((guesses == data.val_y).double().mean())
        seconds = time.perf_counter() - started
        tune.report({"val_accuracy": accuracy, "epoch_seconds": seconds})


def data_of(arrays: dict[str, Any]) -> TrainingData:
    """Tensors over Ray's shared memory, where nothing is copied."""
    return training_data({name: torch.as_tensor(array) for name, array in arrays.items()})


if __name__ == "__main__":
    main()
