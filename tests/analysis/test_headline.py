"""A report that speaks of another metric than accuracy: words, signs, units and axes."""

import dataclasses
import json

import pytest
from matplotlib.figure import Figure
from summary import compute_summary
from synthetic import make_results, study_config

from kdsearch.analysis import write_report
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.answers.capacity.capacity_figure import draw_capacity_curve
from kdsearch.analysis.answers.capacity.prediction import Query, predict_students
from kdsearch.analysis.answers.gain import compute_gain, draw_gain
from kdsearch.analysis.context import Context
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.strata import compute_strata
from kdsearch.config import METRICS
from kdsearch.errors import UserInputError

F1_BELOW = 0.05


def with_f1(evaluation):
    """Its macro-averaged F1 is five points below its accuracy."""
    if evaluation is None:
        return None
    return evaluation.model_copy(update={"more": {"f1_macro": evaluation.accuracy - F1_BELOW}})


def study(metric, **section):
    """The synthetic study, judged by another metric; its loss is 2.3 times its error."""
    results = make_results(
        trials=4, replicates=5, config=study_config(study={"metric": metric, **section})
    )
    trials = tuple(
        t.model_copy(update={"val": with_f1(t.val), "test": with_f1(t.test)})
        for t in results.trials
    )

    def known(record):
        return record.model_copy(update={"val": with_f1(record.val), "test": with_f1(record.test)})

    banks = tuple(
        bank.model_copy(update={
            "members": tuple(map(known, bank.members)),
            "ensembles": tuple(map(known, bank.ensembles)),
        })
        for bank in results.banks
    )  # fmt: skip
    return dataclasses.replace(results, trials=trials, banks=banks)


@pytest.fixture(scope="module")
def by_loss():
    return study("log_loss")


def test_a_loss_is_spoken_of_with_its_own_sign_and_unit(by_loss):
    summary = compute_summary(by_loss)
    text = " ".join([*summary.finding.finding, summary.finding.recommendation])
    assert "Distilled students reach a test loss of " in text
    assert " nats at width 8 (" in text
    assert "lower the loss by" in text
    assert text.count("accuracy") == text.count("; the settings of both arms were chosen by "
                                                "validation accuracy.") == 1  # fmt: skip
    assert "points" not in text
    helps = next(s for s in summary.finding.finding if s.startswith("Distillation"))
    assert helps.startswith("Distillation helps at width 8 ")
    assert "−0.0" in helps
    assert "+" not in helps
    assert "of the 4-teacher ensemble" in summary.finding.recommendation
    assert "keeps" not in text


def test_lower_loss_counts_as_a_gain_of_a_score(by_loss):
    info = compute_strata(by_loss)
    gain = compute_gain(info).gains[0]
    by_accuracy = compute_gain(compute_strata(study("accuracy"))).gains[0]
    assert gain.verdict == by_accuracy.verdict == "helps"
    assert gain.estimate.mean == pytest.approx(2.3 * by_accuracy.estimate.mean)
    assert gain.examples is None
    assert by_accuracy.examples is not None


def test_a_share_as_tolerance_is_of_the_teachers_own_loss():
    loss, f1 = (compute_strata(study(m, tolerance="10%")) for m in ("log_loss", "f1_macro"))
    ensemble = 0.925 - 0.025 / 4
    assert loss.tolerance == pytest.approx(0.1 * 2.3 * (1 - ensemble))
    assert f1.tolerance == pytest.approx(0.1 * (1 - ensemble + F1_BELOW))


def test_curve_and_gain_are_drawn_in_nats(by_loss):
    context = Context(by_loss)
    ax = Figure().add_subplot()
    draw_capacity_curve(context.of(CAPACITY.compute).curve, ax)
    assert ax.get_ylabel() == "Test loss (nats)"
    low, high = ax.get_ylim()
    assert 0 < low < high < 2.3
    assert "%" not in "".join(t.get_text() for t in ax.get_yticklabels())
    gains = Figure().add_subplot()
    draw_gain(compute_gain(context.strata), gains)
    assert gains.get_ylabel() == "Distilled minus hard labels (nats, below 0 is better)"
    assert gains.get_ylim()[0] < -0.02


def test_results_have_the_headline_beside_accuracy(by_loss, tmp_path):
    report = write_report(by_loss, tmp_path / "report")
    document = json.loads((tmp_path / "report" / "results.json").read_text())
    assert document["metric"] == {"name": "loss", "direction": "minimize", "unit": "nats"}
    first = document["strata"][0]
    accuracy = first["distilled"]["test_accuracy"]["mean"]
    assert first["distilled"]["test_loss"]["mean"] == pytest.approx(2.3 * (1 - accuracy))
    assert first["gain"]["mean"] < 0
    assert first["gain"]["low"] < first["gain"]["mean"] < first["gain"]["high"]
    assert first["gain"]["verdict"] == "helps"
    assert report.metrics["recommended_test_loss"] > 0
    page = report.html.read_text()
    assert "Confirmed test loss" in page
    assert "other test sets" not in page.replace("other test sets are tried", "")
    assert "What other test examples would change is not covered" in page


def test_f1_is_a_fraction_with_its_own_name():
    summary = compute_summary(study("f1_macro"))
    text = " ".join([*summary.finding.finding, summary.finding.recommendation])
    assert "reach a test macro-averaged F1 of " in text
    assert " % at width 8" in text
    assert "Distillation helps at width 8 " in text
    assert "points" in text
    assert "errors" not in text
    assert text.count("accuracy") == text.count("chosen by validation accuracy") == 1


def test_an_accuracy_cannot_be_asked_of_a_curve_of_losses(by_loss):
    with pytest.raises(UserInputError, match=r"--accuracy cannot be asked.*is of loss"):
        predict_students(by_loss, Query(accuracy=0.9))
    (sentence,) = predict_students(by_loss, Query(num_params=20_000))
    assert "would reach a test loss of 0." in sentence
    assert "nats" in sentence


def test_a_metric_that_nobody_measured_is_refused_in_one_sentence():
    config = study_config(study={"metric": "auroc"})
    with pytest.raises(UserInputError, match=r"study\.metric: no confirmed student .* auroc"):
        compute_strata(make_results(trials=4, replicates=2, config=config))


def test_the_ends_of_a_turned_interval_are_in_order(by_loss):
    headline = Headline(METRICS["loss"])
    estimate = compute_strata(by_loss).strata[0].distilled.test_score
    own = headline.own_estimate(estimate)
    assert estimate.mean < 0 < own.low < own.mean < own.high
