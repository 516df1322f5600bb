"""Epochs ranked by any metric: the best one is kept, in each engine, and patience follows it."""

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from kdsearch.config import (
    METRICS,
    ImportMetric,
    KdDistillation,
    Metric,
    MlpModel,
    Objective,
    TrainingConfig,
)
from kdsearch.errors import UserInputError
from kdsearch.models import build_model, predict_logits
from kdsearch.models.mlp import Mlp
from kdsearch.results import EpochMetrics
from kdsearch.results.score import epoch_score, measured_each_epoch
from kdsearch.training import (
    FunctionalPopulation,
    MlpPopulation,
    PopulationStudent,
    Progress,
    StudentRun,
    TrainingData,
)
from kdsearch.training.evaluation import measure
from tests.training.problem import NUM_CLASSES, NUM_FEATURES, make_data

TEACH = KdDistillation(alpha=0.5, temperature=2.0)
OWN = '''
import torch

def least_margin(logits, labels):
    """Smaller is better, and best early: logits grow."""
    two = logits.topk(2, dim=1).values
    return (two[:, 0] - two[:, 1]).mean()

def nothing(logits, labels):
    return None

def not_a_number(logits, labels):
    return float("nan")

def broken(logits, labels):
    raise RuntimeError("no\\nway")

def spoils(logits, labels):
    logits.zero_()
    labels.zero_()
    return 1
'''


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Metric]:
    """Metrics of the module above."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "ranking_metrics", raising=False)
    (folder / "ranking_metrics.py").write_text(textwrap.dedent(OWN))

    def make(name: str) -> Metric:
        target = f"ranking_metrics:{name}"
        section = ImportMetric(kind="import", target=target, direction="minimize")
        return section.as_metric(name)

    return make


def body() -> Mlp:
    config = MlpModel(kind="mlp", width=8, depth=1)
    model = build_model(config, input_shape=(NUM_FEATURES,), num_classes=NUM_CLASSES, seed=0)
    assert isinstance(model, Mlp)
    return model


def trained(
    engine: str, metric: Metric, data: TrainingData, **changes: object
) -> tuple[Progress, nn.Module]:
    """What six epochs ranked by a metric leave behind."""
    ranking = Objective(metric=f"val_{metric.name}", direction=metric.direction)
    measured = measured_each_epoch(ranking, [metric] if metric.target else [])
    config = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.02, **changes)

    def score(metrics: EpochMetrics) -> float:
        return epoch_score(metrics, ranking)

    model = body()
    if engine == "reference":
        run = StudentRun(
            model, data, training=config, distillation=TEACH, width=8, order_seed=0, score=score,
            measured=measured,
        )  # fmt: skip
        list(run.epochs(until=6))
        return run, model
    progress = Progress(config, score, measured)
    other = Progress(TrainingConfig(epochs=6, batch_size=32))
    members = [
        PopulationStudent(model, config, TEACH, progress, 0),
        PopulationStudent(body(), TrainingConfig(epochs=6, batch_size=32), TEACH, other, 0),
    ]
    if engine == "mlp":
        population: MlpPopulation | FunctionalPopulation = MlpPopulation(members, data)
    else:
        population = FunctionalPopulation(members, data, width=8)
    for _ in population.epochs(until=6):
        pass
    assert all(epoch.more == {} for epoch in other.history)
    return progress, model


@pytest.mark.parametrize("engine", ["reference", "mlp", "vmap"])
@pytest.mark.parametrize("name", ["brier", "auroc", "f1_macro", "teacher_kl"])
def test_the_kept_epoch_is_the_best_by_the_metric(engine: str, name: str) -> None:
    metric, data = METRICS[name], make_data()
    progress, model = trained(engine, metric, data)
    values = [epoch.value(name) for epoch in progress.history]
    assert len(values) == 6
    assert all(v is not None for v in values)
    best = max(values) if metric.direction == "maximize" else min(values)
    assert values[progress.best_epoch - 1] == best
    model.load_state_dict(progress.kept_state)
    logits = predict_logits(model, data.val_x)
    assert measure(metric, logits, data.val_y, data.teacher_val) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("engine", ["mlp", "vmap"])
def test_populations_measure_what_the_reference_loop_does(engine: str) -> None:
    data = make_data()
    alone, _ = trained("reference", METRICS["ece"], data)
    together, _ = trained(engine, METRICS["ece"], data)
    for one, other in zip(alone.history, together.history, strict=True):
        assert one.more == pytest.approx(other.more, abs=1e-5)


@pytest.mark.parametrize("engine", ["reference", "mlp", "vmap"])
def test_a_users_own_that_is_minimised_decides_patience(
    engine: str, own: Callable[[str], Metric]
) -> None:
    progress, _ = trained(engine, own("least_margin"), make_data(), patience=2)
    assert progress.best_epoch == 1
    assert progress.epoch == 3


def test_a_run_that_resumes_still_knows_what_ranked() -> None:
    progress, _ = trained("reference", METRICS["brier"], make_data())
    again = Progress(TrainingConfig(epochs=6), measured=progress.measured)
    again.load_state_dict(progress.state_dict())
    assert again.history == progress.history


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "'ranking_metrics:nothing' returned None; a finite number is allowed"),
        ("not_a_number", "'ranking_metrics:not_a_number' returned nan; a finite number is"),
        ("broken", "Calling 'ranking_metrics:broken' failed with RuntimeError: no way"),
        ("missing", "has no 'missing'"),
    ],
)
def test_failures_of_a_users_own_are_one_sentence(
    name: str, message: str, own: Callable[[str], Metric]
) -> None:
    with pytest.raises(UserInputError) as caught:
        measure(own(name), torch.zeros(2, 2), torch.tensor([0, 1]), None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_own_cannot_change_what_it_is_given(own: Callable[[str], Metric]) -> None:
    logits, labels = torch.ones(2, 2), torch.tensor([0, 1])
    assert measure(own("spoils"), logits, labels, None) == 1.0
    assert logits.sum() == 4
    assert labels.sum() == 1
