"""Configurations and records made by hand, for what needs no training."""

import json
from typing import Any

from kdsearch.config import StudyConfig
from kdsearch.results import EpochMetrics, Evaluation, TrialRecord
from kdsearch.study.proposal.lane import Proposal, lanes_of, new_record
from kdsearch.testing.small_study import small_study


def stored_before(saved: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration as version 0.1 wrote it, which knew fewer keys and no number."""
    old = json.loads(json.dumps(saved))
    del old["schema"], old["written_by"]
    del old["confirm"]["choose_by"], old["confirm"]["candidates"]
    del old["confirm"]["refit"], old["data"]["transfer"], old["teacher"]["augment"]
    for training in (old["training"], old["teacher"]["training"]):
        del training["keep"]
    for model in (old["student"], old["teacher"]["model"]):
        for key in ("dropout", "input_dropout", "max_norm"):
            model.pop(key, None)
    del old["distillation"]
    del old["pruner"]["exempt"], old["pruner"]["min_correlation"]
    return old


def evaluation(accuracy: float, loss: float = 0.5) -> Evaluation:
    return Evaluation(
        accuracy=accuracy, loss=loss, agreement=accuracy, teacher_kl=0.1, ece=0.1, brier=0.1,
        num_samples=100,
    )  # fmt: skip


def history(*accuracies: float) -> tuple[EpochMetrics, ...]:
    return tuple(
        EpochMetrics(
            epoch=index, train_loss=1.0, val_accuracy=accuracy, val_loss=1 - accuracy,
            val_agreement=accuracy, learning_rate=0.1,
        )
        for index, accuracy in enumerate(accuracies, start=1)
    )  # fmt: skip


def make_record(
    config: StudyConfig,
    trial: int,
    *,
    val: float | None = None,
    test: float | None = None,
    lane: int = 0,
    settings: dict[str, Any] | None = None,
    **changes: Any,
) -> TrialRecord:
    """A trial of lane number `lane`; COMPLETE if it has a validation accuracy."""
    tuned = {"temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01, "ensemble_size": 1}
    which = lanes_of(config, config.strata())[lane]
    if which.arm == "baseline":
        tuned = {"learning_rate": 0.01}
    record = new_record(config, which, Proposal({**tuned, **(settings or {})}), trial=trial)
    update: dict[str, Any] = {"optuna_study": "small", "optuna_trial": trial} | changes
    if val is not None:
        update = {"state": "COMPLETE", "val": evaluation(val), "epochs": 9} | update
    if test is not None:
        update |= {"test": evaluation(test)}
    return record.model_copy(update=update)


def confirm_runs(
    accuracies: dict[int, float], *, trial: int = 0, **settings: Any
) -> tuple[TrialRecord, ...]:
    """Tested replicates of one choice, by number."""
    config = small_study()
    made = [
        make_record(config, trial, stage="confirm", replicate=n, val=0.8, test=accuracy)
        for n, accuracy in accuracies.items()
    ]
    width = settings.get("width", made[0].width)
    return tuple(
        r.model_copy(update={"settings": r.settings | settings, "width": width}) for r in made
    )
