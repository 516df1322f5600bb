"""How far from the best is what a search chooses?

`python -m benchmarks.search_regret` runs `benchmarks/studies/mlp_capacity.yaml` under several
study seeds, trains every chosen setting again on many fresh seeds, and compares its test accuracy
with that of the best setting there is, which `benchmarks/truth.py` has found by brute force. The
same for other pruners: `--variants "" pruner.kind=none`.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import add_json_option, header, print_table, this_machine, write_json
from benchmarks.study_folder import study_folder
from benchmarks.truth import ARMS, STUDY, TUNED, WIDTHS, Student, Table, the_study, train
from kdsearch import load_study, run_study
from kdsearch.analysis.answers.gain import compute_gain
from kdsearch.analysis.estimate import estimate_accuracy
from kdsearch.analysis.response.response import Encoding, Who
from kdsearch.analysis.response.surface import Warp, fit_surface
from kdsearch.analysis.strata import compute_strata
from kdsearch.config import Scalar, StudyConfig
from kdsearch.config.seed import derive_seed
from kdsearch.results import Arm, Results

FRESH = {16: 48, 64: 24, 256: 16, 1024: 10}
"""Seeds that a setting is judged by: many where students scatter most and cost least."""
FIRST_FRESH = 1000
"""So that nothing is judged by a seed of the table."""
FINALISTS = 3
BARS = {"median": 0.5, "90th percentile": 1.2}


class Chosen(NamedTuple):
    """What one study chose at one width and arm."""

    seed: int
    variant: str
    width: int
    arm: Arm
    values: dict[str, Scalar]
    confirmed: float
    """Test accuracy by the study itself."""
    verdict: str
    """On the gain at this width."""


def tuned_values(settings: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The part of a trial's settings that the table knows."""
    return {name: settings[name] for name in TUNED if name in settings}


def run(seed: int, variant: str) -> tuple[list[Chosen], float]:
    """One whole study; what it chose, and its seconds."""
    config = load_study(STUDY, [f"seed={seed}", "storage=sqlite:///kdsearch.db", *variant.split()])
    with study_folder():
        started = time.perf_counter()
        results = run_study(config).results
        seconds = time.perf_counter() - started
    return chosen_of(results, seed, variant), seconds


def chosen_of(results: Results, seed: int, variant: str) -> list[Chosen]:
    """The chosen settings of a study at the table's widths."""
    info = compute_strata(results)
    verdicts = {g.label: g.verdict for g in compute_gain(info).gains}
    found = []
    for stratum in info.strata:
        for arm, choice in (("distilled", stratum.distilled), ("baseline", stratum.baseline)):
            if choice is None or choice.test_score is None:
                continue
            found.append(
                Chosen(
                    seed, variant, int(stratum.key["width"]), arm,
                    tuned_values(choice.trial.settings), choice.test_score.mean,
                    verdicts[stratum.label],
                )
            )  # fmt: skip
    return found


def finalists(config: StudyConfig, table: Table) -> list[Student]:
    """The settings that a smooth surface through the table puts highest, on fresh seeds."""
    encoding = Encoding.of(config)
    found: list[Student] = []
    for width in WIDTHS:
        at_width = table.width == width
        people = [
            Who(
                "baseline" if table.is_baseline[i] else "distilled",
                {n: float(v) for n, v in zip(TUNED, table.settings[i], strict=True)}
                | {"width": width},
            )
            for i in np.flatnonzero(at_width & (table.seed == 0))
        ]
        scores = np.nan_to_num(table.test_accuracy[at_width], nan=0.1)
        scores = scores.reshape(len(people), -1).mean(axis=1).astype(float)
        deficits = np.quantile(scores, 0.9) - scores
        places = encoding.places(people)
        surface = fit_surface(places, Warp(float(np.median(deficits))).down(deficits))
        for arm in ARMS:
            own = [i for i, who in enumerate(people) if who.arm == arm]
            heights = surface.mean(places)[own]
            for rank in np.argsort(-heights)[:FINALISTS]:
                values = tuned_values(people[own[int(rank)]].settings)
                if arm == "baseline":
                    values = {"alpha": 1.0, "learning_rate": values["learning_rate"]}
                else:
                    values["ensemble_size"] = int(values["ensemble_size"])
                found += judges(arm, width, values)
    return found


def judges(arm: Arm, width: int, values: Mapping[str, Scalar]) -> list[Student]:
    """A setting on the seeds that judge it."""
    setting = derive_seed("setting", *(part for item in sorted(values.items()) for part in item))
    return [
        Student(arm, width, setting, FIRST_FRESH + seed, dict(values))
        for seed in range(FRESH[width])
    ]


def accuracies(config: StudyConfig, students: Sequence[Student], workers: int) -> dict[Any, Any]:
    """Mean and standard error of the test accuracy of every setting."""
    unique = {s.spec(config).key: s for s in students}
    outcomes = train(config, list(unique.values()), workers=workers)
    groups: dict[Any, list[float]] = {}
    for key, student in unique.items():
        test = outcomes[key].test
        groups.setdefault((student.arm, student.width, student.setting), []).append(
            test.accuracy if test is not None else 0.1
        )
    return {key: estimate_accuracy(values, confidence=0.9) for key, values in groups.items()}


def main() -> None:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", default=[""])
    parser.add_argument("--jobs", type=int, default=1, help="studies at once; 1 to time them")
    parser.add_argument("--workers", type=int, default=2)
    add_json_option(parser)
    args = parser.parse_args()
    machine, config = this_machine(), the_study()
    print(header(machine))
    everything: list[Chosen] = []
    for variant in args.variants:
        seconds = []
        seeds = range(args.first_seed, args.first_seed + args.seeds)
        with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
            for chosen, took in pool.map(run, seeds, [variant] * len(seeds)):
                everything += chosen
                seconds.append(took)
        print(
            f"{variant or 'as shipped'}: {len(seconds)} studies, seconds each: median "
            f"{statistics.median(seconds):.0f}, {min(seconds):.0f} to {max(seconds):.0f}",
            flush=True,
        )
    best_students = finalists(config, Table.load())
    judged = [c for c in everything if c.width in WIDTHS]
    students = best_students + [s for c in judged for s in judges(c.arm, c.width, c.values)]
    means = accuracies(config, students, args.workers)

    def accuracy(arm: Arm, width: int, values: Mapping[str, Scalar]) -> float:
        return means[arm, width, judges(arm, width, values)[0].setting].mean

    best = {
        (arm, width): max(accuracy(s.arm, s.width, s.values) for s in best_students
                          if (s.arm, s.width) == (arm, width))
        for arm in ARMS for width in WIDTHS
    }  # fmt: skip
    for width in WIDTHS:  # hard labels are among the distilled arm's settings
        best["distilled", width] = max(best["distilled", width], best["baseline", width])
    rows: list[dict[str, Any]] = []
    for c in judged:
        mean = accuracy(c.arm, c.width, c.values)
        regret = 100 * (best[c.arm, c.width] - mean)
        rows.append(c._asdict() | {"test_accuracy": mean, "regret_points": regret})
    report(args.variants, rows, best)
    differences(args.variants, everything)
    write_json(
        args.json, machine, {"chosen": rows, "best": {f"{a} {w}": b for (a, w), b in best.items()}}
    )


def report(
    variants: Sequence[str], rows: Sequence[dict[str, Any]], best: Mapping[Any, float]
) -> None:
    """Regret by width and arm, and over all."""
    for variant in variants:
        own = [r for r in rows if r["variant"] == variant]
        table = []
        for arm in ARMS:
            for width in WIDTHS:
                regrets = [
                    r["regret_points"] for r in own if (r["arm"], r["width"]) == (arm, width)
                ]
                if regrets:
                    table.append(_row(f"{arm} {width}", regrets, best[arm, width]))
        everyone = [r["regret_points"] for r in own]
        table.append(_row("all", everyone, None))
        print(f"\n{variant or 'as shipped'}, regret in points of test accuracy")
        print_table(table)
        hurts = sum(r["verdict"] == "hurts" for r in own if r["arm"] == "distilled")
        print(f"bars: median {BARS['median']}, 90th percentile {BARS['90th percentile']}; "
              f"'hurts' said {hurts} times")  # fmt: skip


def _row(name: str, regrets: Sequence[float], best: float | None) -> dict[str, str]:
    return {
        "stratum": name,
        "n": str(len(regrets)),
        "best": "" if best is None else f"{100 * best:.1f} %",
        "median": f"{np.median(regrets):.2f}",
        "90th percentile": f"{np.quantile(regrets, 0.9):.2f}",
        "worst": f"{max(regrets):.2f}",
    }


def differences(variants: Sequence[str], everything: Sequence[Chosen]) -> None:
    """Confirmed accuracies of the variants side by side, averaged over study seeds."""
    if len(variants) < 2:
        return
    means: dict[Any, dict[str, list[float]]] = {}
    for c in everything:
        means.setdefault((c.width, c.arm), {}).setdefault(c.variant, []).append(c.confirmed)
    rows = []
    for (width, arm), by_variant in sorted(means.items()):
        if len(by_variant) < len(variants):
            continue
        values = [100 * statistics.fmean(by_variant[v]) for v in variants]
        cells = {v or "as shipped": f"{x:.1f}" for v, x in zip(variants, values, strict=True)}
        rows.append(
            {"stratum": f"{arm} {width}"} | cells | {"span": f"{max(values) - min(values):.2f}"}
        )
    print("\nConfirmed test accuracy, mean over study seeds (%)")
    print_table(rows)


if __name__ == "__main__":
    main()
