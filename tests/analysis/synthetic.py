"""Synthetic studies with known answers, made by a seeded generator."""

import base64
from typing import Any

import numpy as np

from kdsearch.config import StudyConfig
from kdsearch.results import (
    EnsembleRecord,
    EpochMetrics,
    Evaluation,
    Results,
    TeacherBankRecord,
    TeacherRecord,
    TrialRecord,
)

WIDTHS = (8, 16, 32, 64, 128, 256)
NUM_TEST = 2000
RUNG, EPOCHS = 13, 40
COMMAND = "kdsearch study run studies/temp_alpha.yaml"


def study_config(**changes: Any) -> StudyConfig:
    """The README's study, with sections replaced."""
    tree: dict[str, Any] = {
        "name": "temp-alpha",
        "data": {"kind": "mnist1d"},
        "teacher": {"model": {"kind": "conv1d", "width": 64}, "members": 4},
        "student": {"kind": "mlp", "depth": 2},
        "search": {
            "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
            "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
            "ensemble_size": {"role": "nuisance", "values": [1, 2, 4]},
            "width": {"role": "scientific", "values": list(WIDTHS)},
        },
        "budget": {"trials": 24},
    }
    return StudyConfig.model_validate(tree | changes)


def num_params(width: int) -> int:
    """Of a 40-width-width-10 perceptron."""
    return 41 * width + (width + 1) * width + 10 * (width + 1)


def evaluation(accuracy: float, num_samples: int = NUM_TEST) -> Evaluation:
    return Evaluation(
        accuracy=accuracy,
        loss=2.3 * (1 - accuracy),
        agreement=min(1.0, accuracy + 0.04),
        teacher_kl=0.6 * (1 - accuracy),
        ece=0.03,
        brier=1.4 * (1 - accuracy),
        num_samples=num_samples,
    )


def pack(correct: np.ndarray) -> str:
    return base64.b64encode(np.packbits(correct.astype(bool)).tobytes()).decode()


def history(rng: np.random.Generator, final: float, epochs: int) -> tuple[EpochMetrics, ...]:
    rise = 1 - np.exp(-np.arange(1, epochs + 1) / 6)
    values = np.clip(final * rise + rng.normal(0, 0.004, epochs), 0, 1)
    return tuple(
        EpochMetrics(
            epoch=i + 1,
            train_loss=2 - 1.5 * float(rise[i]),
            val_accuracy=float(v),
            val_loss=2.3 * (1 - float(v)),
            val_agreement=float(v),
            learning_rate=1e-3,
        )
        for i, v in enumerate(values)
    )


def true_accuracy(width: int, arm: str) -> float:
    error = 0.08 + 3.0 * num_params(width) ** -0.45
    return 1 - error - (0.0 if arm == "distilled" else 0.028 * (width / 8) ** -0.6)


def search_trial(
    rng: np.random.Generator, *, width: int, arm: str, number: int, state: str, **changes: Any
) -> TrialRecord:
    """A trial whose accuracy falls with its distance from T = 4, alpha = 0.3."""
    distilled = arm == "distilled"
    temperature = float(np.exp(rng.uniform(0, np.log(20)))) if distilled else None
    alpha = float(rng.uniform()) if distilled else 1.0
    rate = float(np.exp(rng.uniform(np.log(3e-4), np.log(3e-2))))
    size = int(rng.choice([1, 2, 4])) if distilled else None
    loss = 0.02 * np.log(rate / 4e-3) ** 2
    if temperature is not None and size is not None:
        loss += 0.012 * np.log(temperature / 4) ** 2 + 0.05 * (alpha - 0.3) ** 2 + 0.004 / size
    final = max(0.1, true_accuracy(width, arm) - float(loss) + float(rng.normal(0, 0.004)))
    epochs = {"COMPLETE": 40, "PRUNED": int(rng.choice([1, 3, 9])), "FAIL": 2}[state]
    settings = {"learning_rate": rate, "width": width}
    if distilled:
        settings |= {"temperature": temperature, "alpha": alpha, "ensemble_size": size}
    fields: dict[str, Any] = {
        "study": "temp-alpha",
        "stage": "search",
        "arm": arm,
        "trial": number,
        "replicate": 0,
        "state": state,
        "settings": settings,
        "stratum": {"width": width},
        "temperature": temperature,
        "alpha": alpha,
        "width": width,
        "ensemble_size": size,
        "learning_rate": rate,
        "seed": int(rng.integers(2**31)),
        "num_params": num_params(width),
        "macs": num_params(width) - 2 * width - 10,
        "size_bytes": 4 * num_params(width),
        "epochs": epochs,
        "best_epoch": epochs,
        "train_seconds": 0.4 + 0.01 * epochs,
        "val": None if state == "FAIL" else evaluation(final * (1 if epochs == 40 else 0.8), 800),
        "history": history(rng, final, epochs) if state != "FAIL" else (),
        "failure": "loss became NaN in epoch 2" if state == "FAIL" else None,
        "mlflow_run_id": f"{number:032x}",
    }
    return TrialRecord(**(fields | changes))


def with_curve(trial: TrialRecord, at_rung: float, at_end: float, *, stopped: bool) -> TrialRecord:
    """A search trial with one score up to the rung and another after it, unless it was stopped."""
    curve = [at_rung] * RUNG + ([] if stopped else [at_end] * (EPOCHS - RUNG))
    metrics = tuple(
        EpochMetrics(
            epoch=n, train_loss=1.0, val_accuracy=value, val_loss=1.0, val_agreement=0.5,
            learning_rate=0.01,
        )
        for n, value in enumerate(curve, 1)
    )  # fmt: skip
    update = {
        "state": "PRUNED" if stopped else "COMPLETE", "history": metrics, "epochs": len(metrics),
        "val": evaluation(max(curve), 800), "failure": None,
    }  # fmt: skip
    return trial.model_copy(update=update)


def confirm_trials(
    rng: np.random.Generator, best: TrialRecord, replicates: int, sd: float
) -> list[TrialRecord]:
    difficulty = np.random.default_rng(1).uniform(size=NUM_TEST)  # shared: examples pair up
    records = []
    for replicate in range(1, replicates + 1):
        target = true_accuracy(best.width, best.arm) + float(rng.normal(0, sd))
        correct = difficulty + rng.normal(0, 0.05, NUM_TEST) < target
        records.append(
            best.model_copy(
                update={
                    "stage": "confirm",
                    "replicate": replicate,
                    "seed": 1000 + replicate,
                    "test": evaluation(float(correct.mean())),
                    "test_correct": pack(correct),
                    "history": history(rng, target, 40),
                }
            )
        )
    return records


def teacher_bank(members: int = 4, *, tested: bool = True) -> TeacherBankRecord:
    def test(accuracy: float) -> Evaluation | None:
        return evaluation(accuracy) if tested else None

    return TeacherBankRecord(
        key="bank0",
        members=tuple(
            TeacherRecord(
                member=i + 1,
                key=f"teacher{i + 1}",
                model="conv1d width 64 depth 3",
                num_params=47_000,
                macs=400_000,
                size_bytes=188_000,
                epochs=40,
                train_seconds=9.0,
                val=evaluation(0.905 + 0.002 * i, 800),
                test=test(0.9 + 0.002 * i),
            )
            for i in range(members)
        ),
        ensembles=tuple(
            EnsembleRecord(
                size=k,
                val=evaluation(0.93 - 0.025 / k, 800),
                test=test(0.925 - 0.025 / k),
            )
            for k in range(1, members + 1)
        ),
    )


def make_results(
    *,
    widths: tuple[int, ...] = WIDTHS,
    trials: int = 24,
    replicates: int = 5,
    arms: tuple[str, ...] = ("distilled", "baseline"),
    sd: float = 0.003,
    **changes: Any,
) -> Results:
    """A study of six widths, 24 trials each in both arms, with prunings and one FAIL."""
    rng = np.random.default_rng(7)
    records: list[TrialRecord] = []
    for arm in arms:
        for index, width in enumerate(widths):
            batch = []
            for number in range(trials):
                state = "PRUNED" if number % 3 == 2 else "COMPLETE"
                if (arm, width, number) == ("distilled", widths[0], 5):
                    state = "FAIL"
                batch.append(
                    search_trial(
                        rng, width=width, arm=arm, number=index * trials + number, state=state
                    )
                )
            complete = [t for t in batch if t.state == "COMPLETE" and t.val]
            records += batch
            if complete:
                best = max(complete, key=lambda t: t.val.accuracy if t.val else 0.0)
                records += confirm_trials(rng, best, replicates, sd)
    fields: dict[str, Any] = {
        "config": study_config(),
        "trials": tuple(records),
        "banks": (teacher_bank(),),
        "importance": {
            "learning_rate": 0.58,
            "alpha": 0.2,
            "temperature": 0.17,
            "ensemble_size": 0.05,
        },
        "command": COMMAND,
    }
    return Results(**(fields | changes))
