import math

import pytest

from kdsearch.config import METRICS, Metric, Objective
from kdsearch.results import EpochMetrics, Evaluation, TrialRecord
from kdsearch.results.objective import rung_value
from kdsearch.results.score import (
    best_trial,
    measured_each_epoch,
    objective_value,
    ranked_by,
    score_by,
    signed_value,
)

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
    first = epoch.model_copy(update={"val_accuracy": 0.9})
    last = epoch.model_copy(update={"epoch": 2})
    failed = record(state="FAIL", val=None, history=(first, last))
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


def epoch(number, **more):
    return EpochMetrics(
        epoch=number, train_loss=1.0, val_accuracy=0.3, val_loss=0.5, val_agreement=0.2,
        learning_rate=0.1, more=more,
    )  # fmt: skip


def test_any_metric_is_read_off_the_record_and_its_sign_turned():
    brier = Objective(metric="val_brier")
    f1 = Objective(metric="val_f1_macro")
    own = Objective(metric="val_mine", direction="minimize")
    assert (brier.direction, f1.direction) == ("minimize", "maximize")
    good = record()
    measured = good.val.model_copy(update={"more": {"f1_macro": 0.25, "mine": 3.0}})
    good = good.model_copy(update={"val": measured})
    assert signed_value(good, brier) == -0.1
    assert signed_value(good, f1) == 0.25
    assert signed_value(good, own) == -3.0
    assert objective_value(record(), f1) is None  # written before the metric came
    failed = record(state="FAIL", val=None, history=(epoch(1, mine=2.0),))
    assert signed_value(failed, own) == -2.0


def test_a_single_validation_metric_ranks_epochs_and_rungs():
    own = Objective(metric="val_mine", direction="minimize")
    count = Objective(metric="num_params", direction="minimize")
    assert ranked_by([own]) == own
    assert ranked_by([Objective(metric="val_log_loss")]) == LOSS
    assert ranked_by([own, count]) == ranked_by([count]) == ACCURACY
    history = (epoch(1, mine=2.0), epoch(2, mine=1.0), epoch(3, mine=4.0))
    assert score_by(record(history=history), 3, own) == -1.0
    assert score_by(record(history=history), 1, own) == -2.0
    assert score_by(record(history=history), 3, LOSS) == -0.5
    assert rung_value(-1.0, own) == 1.0
    assert rung_value(0.3, count) == 0.3  # the accuracy that ranks, as it is


def test_only_what_ranks_is_measured_in_every_epoch():
    mine = Metric("mine", "minimize", "plain", "mine", target="my:mine")
    assert measured_each_epoch(ACCURACY, [mine]) == measured_each_epoch(LOSS, []) == ()
    own = Objective(metric="val_mine", direction="minimize")
    assert measured_each_epoch(own, [mine]) == (mine,)
    auroc = Objective(metric="val_auroc")
    assert measured_each_epoch(auroc, [mine]) == (METRICS["auroc"],)


def test_records_of_before_the_table_load():
    old = record().model_dump(mode="json")
    del old["val"]["more"]
    assert TrialRecord.model_validate(old) == record()
    one = epoch(1).model_dump()
    del one["more"]
    assert EpochMetrics.model_validate(one) == epoch(1)
