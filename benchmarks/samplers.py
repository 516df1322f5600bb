"""Which search finds the best settings for the same number of student-epochs?

`python -m benchmarks.samplers` replays searches on the table of `benchmarks/truth.py`: what a
search proposes is looked up in the nearest setting there, with the learning curve of one of its
seeds. Optuna's searches run as its users run them, each width and arm alone, one trial after the
other, and take the best value; kdsearch's sampler sees all of them. Regret is the smooth test
accuracy of the best setting of the table minus that of the one chosen.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.simulated import simulate, trained
from benchmarks.truth import STUDY, TUNED, WIDTHS, Table
from kdsearch import load_study
from kdsearch.analysis.response.surface import Warp
from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import Arm, TrialRecord
from kdsearch.study.proposal.choice import ranked_trials, study_response
from kdsearch.study.proposal.lane import Lane, lanes_of

BUDGETS = (16, 24, 32, 48, 64)
"""Whole trainings that a stratum and arm may cost, in student-epochs."""
LENGTHS = (0.3, 0.5, 0.5, 1.0)
"""Of rate, alpha, temperature and ensemble size: shapes finer than this count as luck."""
LEVEL = 0.9
BOOTSTRAPS = 2000


class Cell(NamedTuple):
    """The table at one width and arm. S settings."""

    units: NDArray[np.float64]
    """[S, 3]: temperature, alpha and rate, scaled to [0, 1]."""
    sizes: NDArray[np.float64]
    """[S]: teachers."""
    values: NDArray[np.float32]
    """[S, 4], as in the table."""
    curves: NDArray[np.float32]
    """[S, seeds, E]"""
    smooth: NDArray[np.float64]
    """[S]: test accuracy by a surface through the table."""

    def nearest(self, settings: Mapping[str, Scalar]) -> int:
        """The table's setting nearest to `settings`."""
        spot = unit(np.array([[float(settings.get(name, 1.0)) for name in TUNED]]))[0]
        distance = ((self.units - spot) ** 2).sum(axis=1)
        other = self.sizes != float(settings.get("ensemble_size", self.sizes[0]))
        return int(np.argmin(np.where(other, np.inf, distance)))


def unit(values: NDArray[Any]) -> NDArray[np.float64]:
    """Temperature, alpha and rate of [S, 4] settings, scaled to [0, 1]."""
    space = study(1, 0).space
    columns = []
    for column, name in enumerate(TUNED[:3]):
        low, high = float(space[name].low or 0), float(space[name].high or 1)
        x = values[:, column].astype(float)
        if space[name].log:
            columns.append(np.log(x / low) / math.log(high / low))
        else:
            columns.append((x - low) / (high - low))
    return np.stack(columns, axis=1)


@cache
def study(trials: int, seed: int, *more: str) -> StudyConfig:
    """The shipped study at the table's widths."""
    config = load_study(
        STUDY, [f"budget.trials={trials}", f"seed={seed}", "pruner.kind=none", *more]
    )
    tree = config.model_dump()
    tree["study"]["ladder"] = None
    tree["search"]["width"] = {"role": "scientific", "values": WIDTHS}
    return StudyConfig.model_validate(tree)


@cache
def cells() -> dict[tuple[Arm, int], Cell]:
    """The table, by arm and width."""
    table = Table.load()
    seeds = int(table.seed.max()) + 1
    found: dict[tuple[Arm, int], Cell] = {}
    for width in WIDTHS:
        parts: list[tuple[Arm, NDArray[np.bool_]]] = [
            ("distilled", (table.width == width) & ~table.is_baseline),
            ("baseline", (table.width == width) & table.is_baseline),
        ]
        rows = np.concatenate([np.flatnonzero(mask) for _, mask in parts])
        settings = np.nan_to_num(table.settings[rows[::seeds]], nan=1.0)
        test = np.nan_to_num(table.test_accuracy[rows], nan=0.1).reshape(-1, seeds)
        smooth = smoothed(settings, test.astype(float))
        for arm, mask in parts:
            own = table.is_baseline[rows[::seeds]] == (arm == "baseline")
            curves = np.nan_to_num(table.val_accuracy[mask], nan=0.1)
            found[arm, width] = Cell(
                unit(settings[own]), settings[own, 3].astype(float), settings[own],
                curves.reshape(int(own.sum()), seeds, -1), smooth[own],
            )  # fmt: skip
    return found


def smoothed(settings: NDArray[Any], test: NDArray[np.float64]) -> NDArray[np.float64]:
    """Test accuracies [S, seeds] of settings [S, 4] without the luck of their seeds, [S].

    scikit-learn's Gaussian process with fixed length scales, so that the yardstick is not made by
    what it measures. Temperature and teachers count as far as alpha lets them.
    """
    x = unit(settings)
    listening = 1 - x[:, 1]
    sizes = np.log2(settings[:, 3].astype(float)) / 2
    points = np.stack([x[:, 2], x[:, 1], listening * x[:, 0], listening * sizes], axis=1)
    top, warp = float(np.quantile(test.mean(axis=1), 0.9)), Warp(0.05)
    warped = warp.down(top - test)
    luck = float(warped.var(axis=1, ddof=1).mean()) / test.shape[1]
    spread = float(warped.mean(axis=1).var())
    kernel = RBF(LENGTHS) + WhiteKernel(luck / spread)
    model = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
    model.fit(points, warped.mean(axis=1))
    return np.asarray(top + warp.up(np.asarray(model.predict(points))))


def regret(arm: Arm, width: int, chosen: int) -> float:
    """In points."""
    best = float(cells()[arm, width].smooth.max())
    return 100 * (best - float(cells()[arm, width].smooth[chosen]))


Regrets = dict[tuple[int, Arm, int], float]
"""By budget, arm and width."""


def optuna_search(
    sampler: Callable[[int], optuna.samplers.BaseSampler],
    pruner: Callable[[], optuna.pruners.BasePruner],
    seed: int,
) -> Regrets:
    """Optuna alone, stratum by stratum, best value chosen."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: Regrets = {}
    for (arm, width), cell in cells().items():
        rng = np.random.default_rng([seed, width, arm == "baseline"])
        tool = optuna.create_study(
            direction="maximize", sampler=sampler(seed), pruner=pruner(), study_name=f"{seed}"
        )
        spent, epochs = 0, cell.curves.shape[-1]
        best: tuple[float, int] = (-1.0, 0)
        for budget in BUDGETS:
            while spent < budget * epochs:
                trial = tool.ask()
                place = cell.nearest(suggested(trial, arm))
                curve = cell.curves[place, rng.integers(cell.curves.shape[1])]
                value, used, stopped = follow(trial, curve, budget * epochs - spent)
                spent += used
                state = optuna.trial.TrialState.PRUNED if stopped else None
                tool.tell(trial, None if stopped else value, state=state)
                if not stopped:
                    best = max(best, (value, place))
            found[budget, arm, width] = regret(arm, width, best[1])
    return found


def follow(trial: optuna.Trial, curve: NDArray[np.float32], left: int) -> tuple[float, int, bool]:
    """Train along a curve: best accuracy, epochs used, whether it was stopped."""
    best = 0.0
    for epoch, accuracy in enumerate(curve, 1):
        best = max(best, float(accuracy))
        trial.report(best, epoch)
        if epoch < len(curve) and (trial.should_prune() or epoch >= left):
            return best, epoch, True
    return best, len(curve), False


def suggested(trial: optuna.Trial, arm: Arm) -> dict[str, Scalar]:
    """Settings from the study's space."""
    found: dict[str, Scalar] = {}
    for name, p in study(1, 0).parameters("nuisance").items():
        if arm == "baseline" and name != "learning_rate":
            continue
        if p.values is not None:
            found[name] = trial.suggest_categorical(name, list(p.values))
        else:
            assert p.low is not None
            assert p.high is not None
            found[name] = trial.suggest_float(name, p.low, p.high, log=p.log)
    return found


def surface_search(seed: int, *more: str) -> Regrets:
    """The sampler and the choice of kdsearch.

    Args:
        seed: Of the study.
        more: Overrides of the study file.
    """
    found: Regrets = {}
    for budget in BUDGETS:
        config, records = spent(budget, seed, *more)
        lanes = lanes_of(config, config.strata())
        response = study_response(config, records)
        for lane in lanes:
            best = ranked_trials(config, lane, records, response)[0]
            width = int(dict(lane.stratum)["width"])
            found[budget, lane.arm, width] = regret(lane.arm, width, place_of(lane, best))
    return found


def spent(budget: int, seed: int, *more: str) -> tuple[StudyConfig, list[TrialRecord]]:
    """A study whose trials cost no more student-epochs than `budget` whole trainings a lane.

    Where pruning makes trials cheaper there are more of them, in steps of a tenth.
    """

    def searched(tenths: int) -> tuple[float, StudyConfig, list[TrialRecord]]:
        config = study(round(tenths * budget / 10), seed, *more)
        records = simulate(config, partial(looked_up, rng=np.random.default_rng([seed, budget])))
        whole = budget * config.training.epochs * len(lanes_of(config, config.strata()))
        return sum(r.epochs for r in records) / whole, config, records

    share, *found = searched(10)
    for tenths in range(int(10 / share), 10, -1):
        used, *larger = searched(tenths)
        if used <= 1:
            found = larger
            break
    config, records = found
    return config, records


def place_of(lane: Lane, record: TrialRecord) -> int:
    """The row of the table that a record was looked up in."""
    return cells()[lane.arm, record.width].nearest(record.settings)


def looked_up(record: TrialRecord, rng: np.random.Generator) -> TrialRecord:
    """A record with the settings and a curve of the table's nearest setting.

    Next to alpha 1 the nearest is the student on hard labels.
    """
    arm: Arm = "baseline" if record.alpha > 0.99 else record.arm
    cell = cells()[arm, record.width]
    place = cell.nearest(record.settings)
    curve = cell.curves[place, rng.integers(cell.curves.shape[1])]
    names = [name for name in TUNED if name in record.settings] if arm == record.arm else []
    settings = {n: float(v) for n, v in zip(TUNED, cell.values[place], strict=True) if n in names}
    if "ensemble_size" in settings:
        settings["ensemble_size"] = int(settings["ensemble_size"])
    fields = {name: settings[name] for name in names}
    snapped = record.model_copy(update={"settings": record.settings | settings} | fields)
    return trained(snapped, *map(float, curve))


def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """Optuna 5's own default."""
    return optuna.samplers.TPESampler(seed=seed)


SEARCHES: dict[str, Callable[[int], Regrets]] = {
    "surface (kdsearch)": surface_search,
    "surface + halving (kdsearch)": lambda seed: surface_search(seed, "pruner.kind=halving"),
    "tpe": lambda seed: optuna_search(tpe, optuna.pruners.NopPruner, seed),
    "gp": lambda seed: optuna_search(
        lambda s: optuna.samplers.GPSampler(seed=s), optuna.pruners.NopPruner, seed
    ),
    "qmc": lambda seed: optuna_search(
        lambda s: optuna.samplers.QMCSampler(seed=s, scramble=True), optuna.pruners.NopPruner, seed
    ),
    "random": lambda seed: optuna_search(
        lambda s: optuna.samplers.RandomSampler(seed=s), optuna.pruners.NopPruner, seed
    ),
    "tpe + MedianPruner": lambda seed: optuna_search(tpe, optuna.pruners.MedianPruner, seed),
    "tpe + SuccessiveHalving": lambda seed: optuna_search(
        tpe, lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=4), seed
    ),
    "tpe + Hyperband": lambda seed: optuna_search(
        tpe,
        lambda: optuna.pruners.HyperbandPruner(min_resource=4, max_resource=40),
        seed,
    ),
}


def one(name: str, seed: int, keep: Path | None = None) -> Regrets:
    """One search under one seed, in a process of its own; read from `keep` if it is there."""
    import warnings

    warnings.filterwarnings("ignore")
    file = keep / f"{name} {seed}.json" if keep else None
    if file and file.exists():
        return _regrets(json.loads(file.read_text(encoding="utf-8")))
    found = SEARCHES[name](seed)
    if file:
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(_plain(found)), encoding="utf-8")
        draft.replace(file)
    return found


def main() -> None:
    """Replay all searches and print regret against budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, default=list(SEARCHES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder of finished searches, to go on from")
    add_json_option(parser)
    args = parser.parse_args()
    machine = this_machine()
    print(header(machine))
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Regrets]] = {name: [] for name in args.searches}
    jobs = [(name, seed) for seed in range(args.seeds) for name in args.searches]
    with ProcessPoolExecutor(args.workers) as pool:
        for (name, _), regrets in zip(
            jobs, pool.map(partial(one, keep=args.keep), *zip(*jobs, strict=True)), strict=True
        ):
            found[name].append(regrets)
    for title, reduce in (("mean", np.mean), ("90th percentile", _ninth)):
        print(
            f"\nRegret in points, {title} over {args.seeds} seeds, {len(WIDTHS)} widths and both "
            f"arms ({100 * LEVEL:.0f} % bootstrap interval over seeds)"
        )
        print_table([_row(name, runs, reduce) for name, runs in found.items()])
    write_json(args.json, machine, {n: [_plain(r) for r in runs] for n, runs in found.items()})


def _ninth(values: NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.9))


def _plain(regrets: Regrets) -> dict[str, float]:
    return {" ".join(map(str, key)): value for key, value in regrets.items()}


def _regrets(plain: Mapping[str, float]) -> Regrets:
    """The inverse of `_plain`."""
    found: Regrets = {}
    for key, value in plain.items():
        budget, arm, width = key.split()
        found[int(budget), "baseline" if arm == "baseline" else "distilled", int(width)] = value
    return found


def _row(
    name: str, runs: Sequence[Regrets], reduce: Callable[[NDArray[np.float64]], Any]
) -> dict[str, str]:
    row = {"search": name}
    rng = np.random.default_rng(0)
    for budget in BUDGETS:
        by_seed = np.array([[v for key, v in run.items() if key[0] == budget] for run in runs])
        picks = rng.integers(len(by_seed), size=(BOOTSTRAPS, len(by_seed)))
        draws = [float(reduce(by_seed[pick].ravel())) for pick in picks]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        row[f"{budget} trainings"] = f"{float(reduce(by_seed.ravel())):.2f} ({low:.2f}-{high:.2f})"
    return row


if __name__ == "__main__":
    main()
