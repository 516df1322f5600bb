"""Finished trials that nobody trained, written through the same ledger and sink as real ones."""

import random
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from kdsearch.config import Scalar, StudyConfig
from kdsearch.execution.student import pack_flags
from kdsearch.results import EpochMetrics, Evaluation, Outcome, State, TrialRecord
from kdsearch.study.proposal.lane import (
    Lane,
    Proposal,
    new_record,
    nuisances,
    searched,
    weights_seed,
)
from kdsearch.study.proposal.pruning import rung_epochs
from kdsearch.study.proposal.space import distributions, from_unit
from kdsearch.study.storage.ledger import Ledger
from kdsearch.tracking import Sink

NUM_TEST = 10_000


class FillCost(NamedTuple):
    """Mean CPU milliseconds a trial of the last trials that were filled in."""

    add_ms: float
    finish_ms: float
    mlflow_ms: float


def fill(
    config: StudyConfig,
    ledger: Ledger,
    lanes: Sequence[Lane],
    *,
    until: int,
    sink: Sink | None = None,
    last: int = 50,
) -> FillCost:
    """Add synthetic search trials, lane by lane in turn, until a storage has so many trials.

    States are what halving leaves: of nine trials one is complete.

    Args:
        config: The study.
        ledger: Of the study.
        lanes: That get trials.
        until: Trials of all stages afterwards.
        sink: Where runs are written as well, without models.
        last: Over how many of them costs are averaged.
    """
    times: list[tuple[float, float, float]] = []
    while (number := len(ledger.records())) < until:
        lane = lanes[number % len(lanes)]
        trial = ledger.next_number("search", lane.arm)
        generation = trial // (config.budget.generation * len(lanes))
        proposal = Proposal(drawn(config, lane, number))
        record = new_record(config, lane, proposal, trial=trial)
        ended = record.model_copy(update=dict(outcome(config, record, number)))
        space = distributions(config, searched(config, lane.arm))
        begun = time.process_time()
        added = ledger.add(record, space, generation=generation)
        asked = time.process_time()
        update = {name: getattr(ended, name) for name in Outcome.model_fields}
        written = added.model_copy(update=update)
        if sink is not None:
            run_id = sink.log_trial(written, model=None)
            written = written.model_copy(update={"mlflow_run_id": run_id})
        logged = time.process_time()
        for epoch in rung_epochs(config.pruner, config.training.epochs):
            if epoch <= written.epochs:
                score = max(m.val_accuracy for m in written.history[:epoch])
                ledger.report(written, epoch=epoch, score=score)
        ledger.finish(written)
        times.append((asked - begun, time.process_time() - logged, logged - asked))
    means = np.mean(times[-last:] or [(np.nan,) * 3], axis=0) * 1e3
    return FillCost(*map(float, means))


def confirm(config: StudyConfig, ledger: Ledger, records: Sequence[TrialRecord]) -> None:
    """Add the confirm runs of some search trials."""
    for record in records:
        for replicate in range(1, config.confirm.replicates + 1):
            seed = weights_seed(config, record.settings, stage="confirm", replicate=replicate)
            fresh = record.model_copy(
                update={
                    "stage": "confirm",
                    "state": "RUNNING",
                    "replicate": replicate,
                    "seed": seed,
                    "mlflow_run_id": None,
                }
            )
            added = ledger.add(fresh, {})
            assert record.val is not None
            correct = np.random.default_rng(seed % 2**32).random(NUM_TEST) < record.val.accuracy
            update = {
                "state": "COMPLETE",
                "test": evaluation(float(correct.mean()), NUM_TEST),
                "test_correct": pack_flags(torch.from_numpy(correct)),
            }
            ledger.finish(added.model_copy(update=update))


def drawn(config: StudyConfig, lane: Lane, number: int) -> dict[str, Scalar]:
    """Random settings of a trial."""
    draw = random.Random(number)
    space = distributions(config, nuisances(config, lane.arm))
    return {name: from_unit(one, draw.random()) for name, one in space.items()}


def outcome(config: StudyConfig, record: TrialRecord, number: int) -> Outcome:
    """What such a trial could have come to."""
    draw = random.Random(-number)
    epochs = config.training.epochs
    rungs = rung_epochs(config.pruner, epochs)
    state: State = "COMPLETE"
    done = epochs
    if rungs and number % 9:
        state, done = "PRUNED", rungs[-1] if number % 9 < 3 else rungs[0]
    capacity = 1 - (record.width + 2) ** -0.5
    skill = 0.95 * capacity + 0.02 * draw.random() - 0.01 * abs(record.alpha - 0.4)
    num_params = 41 * record.width + (record.width + 1) * record.width + 10 * (record.width + 1)
    return Outcome(
        state=state,
        num_params=num_params,
        macs=num_params,
        size_bytes=4 * num_params,
        epochs=done,
        best_epoch=done,
        train_seconds=1.0,
        val=evaluation(skill * (1 - 0.5 / done), 800),
        history=tuple(history(done, skill, record.learning_rate)),
    )


def history(epochs: int, skill: float, learning_rate: float) -> Iterator[EpochMetrics]:
    """A learning curve."""
    for epoch in range(1, epochs + 1):
        accuracy = skill * (1 - 0.5 / epoch)
        yield EpochMetrics(
            epoch=epoch,
            train_loss=2.3 * (1 - accuracy),
            val_accuracy=accuracy,
            val_loss=2.2 * (1 - accuracy),
            val_agreement=accuracy,
            learning_rate=learning_rate,
        )


def evaluation(accuracy: float, num_samples: int) -> Evaluation:
    """Plausible measurements at an accuracy."""
    return Evaluation(
        accuracy=accuracy,
        loss=2.3 * (1 - accuracy),
        agreement=accuracy,
        teacher_kl=0.6 * (1 - accuracy),
        ece=0.03,
        brier=1.4 * (1 - accuracy),
        num_samples=num_samples,
    )
