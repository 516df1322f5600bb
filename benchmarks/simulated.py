"""The search stage of a study whose students cost nothing: they are computed or looked up."""

from collections.abc import Callable, Sequence

from kdsearch.analysis.response.response import Encoding, forecast_at, who_of
from kdsearch.config import StudyConfig
from kdsearch.results import EpochMetrics, Evaluation, TrialRecord
from kdsearch.results.score import ranked_by, score_by
from kdsearch.study.proposal.generation import next_generation
from kdsearch.study.proposal.lane import Lane, Proposal, lanes_of, new_record
from kdsearch.study.proposal.pruning import is_exempt, rung_epochs, survivors
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.proposal.surface_sampler import SurfaceSampler

Train = Callable[[TrialRecord], TrialRecord]
"""Gives a RUNNING record what came of it, trained to the end."""


def trained(record: TrialRecord, *accuracies: float) -> TrialRecord:
    """A complete trial with these validation accuracies, epoch by epoch."""
    history = tuple(
        EpochMetrics(
            epoch=epoch, train_loss=1.0, val_accuracy=float(accuracy), val_loss=1.0,
            val_agreement=0.5, learning_rate=1e-3,
        )
        for epoch, accuracy in enumerate(accuracies, 1)
    )  # fmt: skip
    update = {
        "state": "COMPLETE", "history": history, "epochs": len(history),
        "val": evaluation(max(accuracies)), "num_params": 100 * record.width,
    }  # fmt: skip
    return record.model_copy(update=update)


def evaluation(accuracy: float) -> Evaluation:
    """An evaluation of which only the accuracy means anything."""
    return Evaluation(
        accuracy=float(accuracy), loss=1.0, agreement=0.5, teacher_kl=0.1, ece=0.1, brier=0.5,
        num_samples=1,
    )  # fmt: skip


def simulate(config: StudyConfig, train: Train) -> list[TrialRecord]:
    """Search trials of all lanes, as `study.search` would ask and prune them."""
    lanes = lanes_of(config, config.strata())
    records: list[TrialRecord] = []
    generation = 0
    while True:
        surface, fresh = SurfaceSampler(config, records), list[TrialRecord]()
        for lane in lanes:
            plan = next_generation(config, lane, lanes, asked=len(lane.of(records)))
            if plan is None:
                continue
            found = surface.explore(lane, generation, plan.size, spent=plan.spent)
            proposals = found if found is not None else designed(config, lane, plan.size)
            number = sum(r.arm == lane.arm for r in [*records, *fresh])
            asked = [
                new_record(config, lane, p, trial=number + i) for i, p in enumerate(proposals)
            ]
            fresh += pruned(config, lane, records, [train(record) for record in asked])
        if not fresh:
            return records
        records += fresh
        generation += 1


def designed(config: StudyConfig, lane: Lane, size: int) -> list[Proposal]:
    """The Sobol sequence that a lane begins with."""
    sampler = LaneSampler(config, lane, [])
    return [sampler.ask(index) for index in range(size)]


def pruned(
    config: StudyConfig, lane: Lane, earlier: Sequence[TrialRecord], fresh: list[TrialRecord]
) -> list[TrialRecord]:
    """A generation with those cut short that a rung would have stopped."""
    encoding, ranking = Encoding.of(config), ranked_by(config.objective)
    rungs = rung_epochs(config.pruner, config.training.epochs)
    before = lane.of(earlier)
    index = {record.key: place for place, record in enumerate([*before, *fresh])}
    for place, rung in enumerate(rungs):
        forecast = forecast_at(config, encoding, rung, earlier)
        if forecast is None or not forecast.tells(config.pruner.min_correlation):
            continue
        reached = [r for r in [*before, *fresh] if len(r.history) >= rung]
        ends = forecast.predict(
            encoding.places([who_of(r) for r in reached]),
            [score_by(r, rung, ranking) for r in reached],
        )
        scores = {index[r.key]: float(end) for r, end in zip(reached, ends, strict=True)}
        live = {index[r.key] for r in fresh if r.state == "COMPLETE"}
        kept = survivors(
            config.pruner, rung=place, rungs=rungs,
            scores={i: s for i, s in scores.items() if i in live},
            earlier={i: s for i, s in scores.items() if i not in live},
        )  # fmt: skip
        fresh = [
            record
            if record.state == "PRUNED" or index[record.key] in kept or record.repeats is not None
            or is_exempt(config.pruner, index[record.key])
            else record.model_copy(
                update={
                    "state": "PRUNED", "history": record.history[:rung], "epochs": rung,
                    "val": evaluation(score_by(record, rung, ranking)),
                }
            )
            for record in fresh
        ]  # fmt: skip
    return fresh
