import dataclasses

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from summary import compute_summary
from synthetic import make_results, study_config

from kdsearch.analysis import wording
from kdsearch.analysis.answers.ensemble_size import compute_ensemble_size
from kdsearch.analysis.answers.optimum import compute_optimum
from kdsearch.analysis.drawing import style
from kdsearch.analysis.headline import ACCURACY, Headline
from kdsearch.analysis.searching.importance import compute_importance
from kdsearch.analysis.searching.learning_curve import (
    compute_learning_curve,
    draw_learning_curve,
)
from kdsearch.analysis.searching.optimization_history import compute_optimization_history
from kdsearch.analysis.searching.temperature_alpha import (
    compute_temperature_alpha,
    draw_temperature_alpha,
)
from kdsearch.analysis.strata import compute_strata
from kdsearch.config import METRICS, Objective
from kdsearch.results.score import best_trial, objective_value


def views_of(results):
    return compute_temperature_alpha(results, compute_optimum(results, compute_strata(results)))


def results_without_surface(results):
    """The same trials with all but fifteen pruned, too few for a surface."""
    complete = [t.key for t in results.trials if t.state == "COMPLETE"][:15]
    trials = tuple(
        t if t.key in complete else t.model_copy(update={"state": "PRUNED"})
        for t in results.trials
    )
    return dataclasses.replace(results, trials=trials)


@pytest.mark.slow
def test_temperature_alpha_is_relative_to_the_stratum(results):
    info = views_of(results)
    assert [p.title for p in info.panels] == [f"width {w}" for w in (8, 16, 32, 64, 128, 256)]
    assert info.searched == ("temperature", "alpha")
    assert info.log_axes == ("temperature",)
    for panel in info.panels:
        best = [p for p in panel.points if p.is_best]
        assert [p.value for p in best] == [0.0]
        assert all(p.value is None or p.value <= 0 for p in panel.points)
        assert all((p.value is None) == (p.state != "COMPLETE") for p in panel.points)


def test_more_than_six_strata_share_one_panel():
    widths = (8, 10, 12, 14, 16, 18, 20)
    search = {
        "width": {"role": "scientific", "values": list(widths)},
        "temperature": {"role": "nuisance", "low": 1.0, "high": 9.0},
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
    }
    results = make_results(
        widths=widths, trials=3, replicates=0, config=study_config(search=search)
    )
    few = dataclasses.replace(results, trials=results.trials[:9])
    assert len(views_of(few).panels) == 3
    blind = results_without_surface(results)
    info = views_of(blind)
    assert [p.title for p in info.panels] == ["all 7 strata"]
    assert len(info.panels[0].points) == 21


@pytest.mark.slow
def test_up_to_twelve_strata_have_a_map_each():
    widths = tuple(range(8, 22))
    search = {
        "width": {"role": "scientific", "values": list(widths)},
        "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
    }
    results = make_results(
        widths=widths, trials=8, replicates=0, config=study_config(search=search)
    )
    info = views_of(results)
    assert len(info.panels) == 12
    assert (info.panels[0].title, info.panels[-1].title) == ("width 8", "width 21")
    for panel in info.panels:
        assert panel.map is not None
        assert panel.map.expected_cost.shape == panel.map.region.shape
        assert panel.map.region.any()
    figure = style.new_figure(4, 4)
    assert draw_temperature_alpha(info, info.panels[0], figure.add_subplot()) is not None


def test_running_best_ignores_pruned_trials(results):
    panel = compute_optimization_history(results).panels[0]
    history = panel.arms[0]
    assert history.arm == "distilled"
    best = None
    for value, state, running in zip(
        history.values, history.states, history.running_best, strict=True
    ):
        if state == "COMPLETE":
            best = value if best is None else max(best, value)
        assert running == best


def test_learning_curve_is_the_mean_over_replicates(results):
    stratum = compute_strata(results).strata[2]
    info = compute_learning_curve(stratum, ACCURACY)
    curve = info.curves[0]
    assert len(curve.replicates) == 5
    assert curve.mean[9] == pytest.approx(sum(r[9] for r in curve.replicates) / 5)
    assert compute_learning_curve(None, ACCURACY).missing


def test_learning_curves_are_of_the_headline_where_epochs_were_measured_by_it(results):
    stratum = compute_strata(results).strata[2]
    loss, f1 = (Headline(METRICS[name]) for name in ("loss", "f1_macro"))
    info = compute_learning_curve(stratum, loss)
    (first, *_) = info.curves
    runs = stratum.distilled.replicates
    assert first.replicates == tuple(tuple(e.val_loss for e in t.history) for t in runs)
    ax = Figure().add_subplot()
    draw_learning_curve(info, ax)
    assert ax.get_ylabel() == "Validation loss (nats)"
    low, high = ax.get_ylim()
    assert 0 < low < high < max(max(r) for r in first.replicates), "its first epochs are cut"
    assert loss.instead(info.headline) == ""

    instead = compute_learning_curve(stratum, f1)
    assert instead.headline == ACCURACY
    assert instead.curves == compute_learning_curve(stratum, ACCURACY).curves
    assert f1.instead(instead.headline) == (
        " Epochs were not measured by macro-averaged F1, so this is about accuracy; an objective "
        "of val_f1_macro would measure them."
    )


def test_ensemble_groups_count_every_complete_trial(results):
    info = compute_ensemble_size(results)
    assert [g.size for g in info.groups] == [1, 2, 4]
    assert sum(len(g.values) for g in info.groups) == 96
    assert [e.size for e in info.banks[0].ensembles] == [1, 2, 3, 4]


def test_importance_is_sorted(results):
    info = compute_importance(results)
    assert info.names[0] == "learning_rate"
    assert sum(info.shares) == pytest.approx(1)


def test_best_trial_follows_the_direction(results):
    trials = results.select(stage="search", arm="distilled")
    loss = Objective(metric="val_loss", direction="minimize")
    best = best_trial(trials, loss)
    assert best is not None
    values = [objective_value(t, loss) for t in trials if t.state == "COMPLETE"]
    assert objective_value(best, loss) == min(v for v in values if v is not None)
    assert best_trial([], loss) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "–"), (7, "7"), (999, "999"), (999.6, "1.0 k"), (5042, "5.0 k"), (99_960, "100 k"),
     (1_234_567, "1.2 M"), (3e9, "3.0 G")],
)  # fmt: skip
def test_counts_for_people(number, text):
    assert wording.count(number) == text


@pytest.mark.slow
def test_axes_are_labelled_in_words(results):
    figures = {name: f.figure for name, f in compute_summary(results).figures().items()}
    texts = {}
    for name, figure in figures.items():
        assert figure is not None
        figure.canvas.draw()
        texts[name] = {t.get_text() for t in figure.findobj(Text)}
    for name, found in texts.items():
        keys = ("val_accuracy", "learning_rate", "ensemble_size")
        assert not any(key in text for text in found for key in keys), name
    assert {"learning rate", "ensemble size"} <= texts["importance"]
    assert "Validation accuracy" in texts["history"]
    assert any("96 complete distilled search trials (pruned ones left out)" in t
               for t in texts["importance"])  # fmt: skip


@pytest.mark.slow
def test_the_gain_figure_names_the_errors_of_the_gains(results):
    summary = compute_summary(results)
    figure = summary.figures()["gain"].figure
    assert figure is not None
    errors = [g.estimate.se for g in summary.gain.gains if g.estimate and g.estimate.se]
    expected = f"SE {100 * min(errors):.2f} to {100 * max(errors):.2f} points"
    assert any(expected in t.get_text() for t in figure.findobj(Text))


def test_points_have_no_negative_zero():
    assert wording.points(-0.0001) == "+0.0"
    assert wording.points(-0.0123) == "−1.2"
    assert wording.listing(["a", "b", "c"]) == "a, b and c"
    assert wording.stratum_label({"student.width": 8, "data.x": 0.25}) == "width 8, x 0.25"
    assert wording.stratum_label({"teacher.model.width": 8, "width": 4}) == (
        "teacher width 8, width 4"
    )
    assert wording.stratum_label({"training.epochs": 8, "teacher.training.epochs": 4}) == (
        "epochs 8, teacher epochs 4"
    )
    assert wording.stratum_label({"data.seed": 1, "student.seed": 2}) == (
        "data.seed 1, student.seed 2"
    )
