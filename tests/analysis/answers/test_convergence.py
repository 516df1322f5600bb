import dataclasses
import math

import pytest
from synthetic import make_results, study_config

from kdsearch.analysis.answers.convergence import (
    CONVERGENCE,
    compute_convergence,
    convergence_sentence,
    convergence_table,
)
from kdsearch.analysis.context import Context
from kdsearch.analysis.estimate import Estimate, estimate_difference
from kdsearch.analysis.headline import ACCURACY
from kdsearch.analysis.strata import compute_strata
from kdsearch.results import EpochMetrics


def curve(values):
    return tuple(
        EpochMetrics(
            epoch=i, train_loss=1.0, val_accuracy=v, val_loss=1.0 - v, val_agreement=v,
            learning_rate=1e-3,
        )
        for i, v in enumerate(values, 1)
    )  # fmt: skip


def study(distilled, baseline, *, replicates=3, width=16, **changes):
    """`distilled` and `baseline` give the accuracies by epoch of a replicate.

    Args:
        distilled: Of students of `width`.
        baseline: Of students of width 16.
        replicates: Of both.
        width: Of the distilled students.
        changes: Of the study.
    """
    base = make_results(widths=(16,), trials=4, replicates=replicates)
    trials = []
    for t in base.trials:
        if t.stage == "confirm":
            values = (distilled if t.arm == "distilled" else baseline)(t.replicate)
            t = t.model_copy(update={"history": curve(values), "best_epoch": len(values)})
        if t.arm == "distilled":
            t = t.model_copy(update={"width": width, "settings": t.settings | {"width": width}})
        trials.append(t)
    config = study_config(
        search={
            "width": {"role": "scientific", "values": [16, 32]},
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        },
        **changes,
    )
    results = dataclasses.replace(base, config=config, trials=tuple(trials))
    strata = compute_strata(results)
    return compute_convergence(strata)


def straight(epochs, final=0.8):
    """Rises in a straight line from 0 to `final`, then stays for as long again."""
    return [final * min(1.0, (i + 1) / epochs) for i in range(2 * epochs)]


def test_epochs_by_hand():
    info = study(lambda r: straight(10 + r), lambda r: straight(20 + r))
    (speed,) = info.speeds
    # 95 % of a straight line of n epochs is reached after 0.95 n.
    assert speed.distilled.mean == pytest.approx(0.95 * 12)
    assert speed.baseline.mean == pytest.approx(0.95 * 22)
    ratios = [math.log((20 + r) / (10 + r)) for r in (1, 2, 3)]
    assert speed.by_replicate == pytest.approx(dict(zip((1, 2, 3), ratios, strict=True)))
    assert info.overall is not None
    assert info.overall.mean == pytest.approx(sum(ratios) / 3)
    sentence = convergence_sentence(info)
    assert sentence.startswith(
        "Distilled students converge faster: they reach 95 % of their final validation accuracy "
        "after 11.4 epochs, those on hard labels after 20.9 (1.84 times as fast, 90 % interval "
    )
    assert "n = 3 replicates paired by seed" in sentence
    assert convergence_table(info).rows[0][:2] == ("width 16", "11.4")


def test_a_better_student_passes_the_other_ones_goal_sooner():
    # Both rise in 20 epochs, to 0.8 and to 0.4: the first is at 0.95 * 0.4 after 9.5 epochs.
    info = study(lambda r: straight(20), lambda r: straight(20, 0.4))
    (speed,) = info.speeds
    assert speed.log_ratio is not None
    assert speed.log_ratio.mean == pytest.approx(0)
    assert speed.same_target is not None
    assert speed.same_target.mean == pytest.approx(math.log(19 / 9.5))
    assert "converge as fast as the others" in convergence_sentence(info)
    assert "they are faster (2.00 times as fast" in convergence_sentence(info)


def test_students_of_two_architectures_are_not_paired():
    info = study(lambda r: straight(10 + r), lambda r: straight(20 + r), width=24)
    (speed,) = info.speeds
    assert speed.by_replicate == {}
    assert info.overall is None
    logs = [[math.log(0.95 * (n + r)) for r in (1, 2, 3)] for n in (20, 10)]
    assert speed.log_ratio == estimate_difference(*logs, confidence=0.9)


def test_noise_is_not_called_speed():
    info = study(lambda r: straight(10 + 6 * (r == 2)), lambda r: straight(11 + 5 * (r == 1)))
    assert "not shown to converge faster" in convergence_sentence(info)


def test_a_run_that_never_arrives_counts_one_epoch_longer():
    info = study(lambda r: straight(10, 0.3), lambda r: straight(10))
    (speed,) = info.speeds
    assert speed.same_target is not None
    assert speed.same_target.mean == pytest.approx(math.log(9.5 / 21))


def test_one_replicate_has_no_interval():
    info = study(lambda r: straight(10), lambda r: straight(20), replicates=1)
    assert "no more is known" in convergence_sentence(info)


def test_one_arm_says_why():
    results = make_results(widths=(8,), trials=4, replicates=2, arms=("distilled",))
    strata = compute_strata(results)
    info = compute_convergence(strata)
    assert "both arms" in info.missing
    assert convergence_sentence(info) == ""
    config = study_config(confirm={"baseline": False, "replicates": 2})
    strata = compute_strata(dataclasses.replace(results, config=config))
    assert "no baseline arm" in compute_convergence(strata).missing


def test_a_loss_arrives_within_five_per_cent_from_above():
    judged = {"study": {"metric": "loss"}}
    info = study(lambda r: straight(10 + r), lambda r: straight(20 + r), **judged)
    (speed,) = info.speeds
    # Losses fall in a straight line from 1 to 0.2: 1.05 * 0.2 is reached after 0.79 of 0.8.
    assert speed.distilled.mean == pytest.approx(12 * 0.79 / 0.8)
    assert info.overall is not None
    assert info.overall.mean == pytest.approx(
        sum(math.log((20 + r) / (10 + r)) for r in (1, 2, 3)) / 3
    )
    sentence = convergence_sentence(info)
    assert sentence.startswith(
        "Distilled students converge faster: they come within 5 % of their final validation loss "
        "after 11.8 epochs"
    )
    assert " To come within 5 % of the final loss on hard labels they are faster " in sentence
    assert "accuracy" not in sentence
    assert "within 5 % of each student's own final loss" in convergence_table(info).caption


def test_a_loss_of_two_levels_is_reached_sooner_by_the_better_one():
    judged = {"study": {"metric": "loss"}}
    info = study(lambda r: straight(20), lambda r: straight(20, 0.4), **judged)
    (speed,) = info.speeds
    # To 1.05 * 0.6 = 0.63: the better one falls 0.04, the other 0.02 an epoch.
    assert speed.same_target is not None
    assert speed.same_target.mean == pytest.approx(math.log(2))


def test_epochs_that_were_not_measured_by_the_headline_are_of_accuracy():
    base = make_results(widths=(16,), trials=4, replicates=2)
    f1 = {"more": {"f1_macro": 0.5}}
    trials = tuple(
        t.model_copy(update={"test": t.test and t.test.model_copy(update=f1)}) for t in base.trials
    )
    config = study_config(study={"metric": "f1_macro"})
    context = Context(dataclasses.replace(base, config=config, trials=trials))
    info = context.of(CONVERGENCE.compute)
    assert info.headline == ACCURACY
    (figure,) = CONVERGENCE.figures(info, context)
    assert "Epochs were not measured by macro-averaged F1, so this is about accuracy" in (
        figure.explanation
    )
    assert CONVERGENCE.document(info, context)["convergence"]["metric"] == "accuracy"


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (math.log(0.82), math.log(0.9994), "0.820 to 0.999"),
        (math.log(0.82), math.log(0.998), "0.820 to 0.998"),
        (math.log(1.00004), math.log(1.2), "1.00004 to 1.20000"),
        (math.log(0.82), math.log(0.97), "0.82 to 0.97"),
        (math.log(0.82), 0.0, "0.82 to 1.00"),
        (math.log(0.82), -1e-9, "0.820000 to 1.000000"),
    ],
)
def test_an_interval_that_ends_beside_one_does_not_end_at_one(low, high, ends):
    base = study(lambda r: straight(10), lambda r: straight(10))
    estimate = Estimate((low + high) / 2, 3, 0.01, low, high)
    info = base._replace(overall=estimate, same_target=None)
    assert f"90 % interval {ends}" in convergence_sentence(info)
    speed = base.speeds[0]._replace(log_ratio=estimate)
    assert convergence_table(info._replace(speeds=(speed,))).rows[0][7] == ends
