import math

import pytest

from kdsearch.config import Objective
from kdsearch.results import EpochMetrics, Evaluation, TrialRecord
from kdsearch.results.score import best_trial, objective_value, signed_value

ACCURACY = Objective(metric="val_accuracy", direction="maximize")
LOSS = Objective(metric="val_loss", direction="minimize")


def record(trial=0, *, accuracy=0.5, loss=1.0, state="COMPLETE", **changes):
    val = Evaluation(
        accuracy=accuracy, loss=loss, agreement=0.6, teacher_kl=0.1, ece=0.0, brier=0.1,
        num_samples=10,
    )  # fmt: skip
    fields = {
        "study": "s", "stage": "search", "arm": "distilled", "trial": trial, "replicate": 0,
        "settings": {}, "stratum": {}, "alpha": 0.5, "width": 8, "learning_rate": 0.1, "seed": 1,
        "state": state, "val": val, "num_params": 490,
    }  # fmt: skip
    return TrialRecord(**(fields | changes))


def test_values_are_those_of_the_kept_weights():
    assert objective_value(record(accuracy=0.7), ACCURACY) == 0.7
    assert objective_value(record(loss=2.0), LOSS) == 2.0
    assert signed_value(record(loss=2.0), LOSS) == -2.0
    params = Objective(metric="num_params", direction="minimize")
    assert objective_value(record(), params) == 490.0
    assert objective_value(record(num_params=None), params) is None


def test_a_failed_trial_has_its_last_epoch_and_nothing_that_is_not_finite():
    epoch = EpochMetrics(
        epoch=1, train_loss=1.0, val_accuracy=0.3, val_loss=math.inf, val_agreement=0.2,
        learning_rate=0.1,
    )  # fmt: skip
    failed = record(state="FAIL", val=None, history=(epoch,))
    assert objective_value(failed, ACCURACY) == 0.3
    assert objective_value(failed, LOSS) is None
    assert objective_value(record(state="FAIL", val=None), ACCURACY) is None


@pytest.mark.parametrize(("objective", "best"), [(ACCURACY, 1), (LOSS, 2)])
def test_the_best_is_complete_and_the_earliest_of_equals(objective, best):
    records = [
        record(0, accuracy=0.9, loss=0.1, state="PRUNED"),
        record(1, accuracy=0.8, loss=0.9),
        record(2, accuracy=0.7, loss=0.4),
        record(3, accuracy=0.8, loss=0.4),
    ]
    found = best_trial(records, objective)
    assert found is not None
    assert found.trial == best
    assert best_trial([], objective) is None
