import dataclasses

import numpy as np
import pytest
from summary import compute_summary
from synthetic import evaluation, make_results, study_config

from kdsearch.analysis.answers.grid import compute_grid, grid_sentence, grid_table
from kdsearch.config import METRICS
from kdsearch.results.pairing import replicate_scores

WIDTHS = (8, 16, 32, 64, 128)
SEARCH = {
    "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
    "ensemble_size": {"role": "scientific", "values": [1, 4]},
    "width": {"role": "scientific", "values": list(WIDTHS)},
}


def study(effect, *, replicates=4, search=SEARCH):
    """`effect(width)` is what four teachers add; noise is shared by replicates of a width."""
    base = make_results(widths=WIDTHS, trials=4, replicates=replicates)
    rng, trials = np.random.default_rng(0), []
    for t in base.select(arm="distilled"):
        shared, own = rng.normal(0, 0.01), rng.normal(0, 0.0005)
        for size in (1, 4):
            key = {"width": t.width, "ensemble_size": size}
            update = {"stratum": key, "settings": t.settings | key, "trial": t.trial + 100 * size}
            if t.stage == "confirm":
                value = (
                    0.8 + 0.01 * np.log2(t.width) + shared + (size == 4) * (effect(t.width) + own)
                )
                update |= {"test": evaluation(float(value)), "test_correct": None}
            trials.append(t.model_copy(update=update))
    trials += base.select(arm="baseline")
    return dataclasses.replace(base, config=study_config(search=search), trials=tuple(trials))


@pytest.fixture(scope="module")
def summary():
    return compute_summary(study(lambda width: 0.16 / width - 0.0012))


def test_rows_are_sizes_and_effects_are_paired(summary):
    info = summary.grid
    assert (info.rows, info.columns) == ("width", "ensemble_size")
    assert info.row_values == WIDTHS
    assert info.column_values == (1, 4)
    assert info.paired
    first = info.effects[0].estimate
    # 0.16 / 8 - 0.0012
    assert first.mean == pytest.approx(0.0188, abs=0.001)
    assert first.se < 0.001  # paired: the shared 0.01 drops out
    assert first.n == 4
    one, four = (
        replicate_scores(info.cells[8, size].choice.replicates, METRICS["accuracy"])
        for size in (1, 4)
    )
    by_hand = np.mean([four[r] - one[r] for r in range(1, 5)])
    assert first.mean == pytest.approx(by_hand)


def test_the_sentence_answers_where_a_bigger_ensemble_helps(summary):
    sentence = grid_sentence(summary.grid)
    assert sentence.startswith(
        "Ensemble size 4 instead of 1 helps at width 8 (+1.85 [+1.82, +1.89])"
    )
    assert "makes no difference at width 128" in sentence
    assert "(paired, n = 4, 90 % intervals)" in sentence
    assert "it adds more at width 8 than at width 128 (+1." in sentence
    assert sentence in summary.finding.finding


def test_every_cell_has_its_n(summary):
    table = grid_table(summary.grid)
    assert len(table.rows) == 5
    assert table.rows[0][0] == "8"
    assert table.rows[0][1].endswith("(4)")
    assert table.rows[0][-1] == "4"


def test_there_is_one_fit_for_each_value_of_the_other_parameter(summary):
    assert list(summary.saturations) == ["ensemble_size 1", "ensemble_size 4"]
    assert all(s.fit is not None for s in summary.saturations.values())
    assert summary.saturation.verdict == "not_asked"
    arms = [(s.arm, s.name) for s in summary.capacity.series]
    assert arms == [
        ("distilled", "ensemble_size 1"), ("distilled", "ensemble_size 4"), ("baseline", ""),
    ]  # fmt: skip


def test_an_effect_that_does_not_depend_on_size_is_not_called_one():
    info = compute_summary(study(lambda width: 0.01)).grid
    assert "that it matters more at width 8 than at width 128 is not shown" in grid_sentence(info)


def test_baselines_with_less_data_are_a_series_of_their_own():
    search = SEARCH | {"data.train_fraction": {"role": "scientific", "values": [0.5, 1.0]}}
    del search["ensemble_size"]
    base = make_results(widths=WIDTHS, trials=4, replicates=2)
    trials = [
        t.model_copy(update={"stratum": {"width": t.width, "data.train_fraction": f}})
        for f in (0.5, 1.0)
        for t in base.trials
    ]
    config = study_config(search=search)
    made = compute_summary(dataclasses.replace(base, config=config, trials=tuple(trials)))
    names = {s.name for s in made.capacity.series if s.arm == "baseline"}
    assert names == {"train_fraction 0.5", "train_fraction 1"}
    assert all(len(s.points) == 5 for s in made.capacity.series)


def test_students_of_two_sizes_are_not_called_paired():
    search = SEARCH | {"student.depth": {"role": "scientific", "values": [1, 4]}}
    del search["ensemble_size"]
    results = study(lambda width: 0.01, search=search)
    trials = []
    for t in results.trials:
        if t.arm == "distilled":
            key = {"width": t.width, "student.depth": t.stratum["ensemble_size"]}
            t = t.model_copy(update={"stratum": key, "settings": t.settings | key})
        trials.append(t)
    results = dataclasses.replace(results, trials=tuple(trials))
    info = compute_summary(results).grid
    assert not info.paired
    assert info.interaction is None
    assert "not paired" in grid_table(info).caption


def test_a_row_whose_students_the_search_chose_of_two_architectures_is_not_paired():
    results = study(lambda width: 0.01)
    trials = []
    for t in results.trials:
        if t.stratum == {"width": 8, "ensemble_size": 4}:
            t = t.model_copy(update={"settings": t.settings | {"student.depth": 3}})
        trials.append(t)
    info = compute_summary(dataclasses.replace(results, trials=tuple(trials))).grid
    assert [effect.paired for effect in info.effects] == [False, True, True, True, True]
    assert info.effects[0].estimate.se > 5 * info.effects[1].estimate.se
    assert not info.paired
    assert info.interaction is None


@pytest.mark.slow
def test_one_axis_has_no_grid(results):
    assert compute_summary(results).grid is None
    assert grid_sentence(None) == ""
    nothing = dataclasses.replace(results, config=study_config(search=SEARCH), trials=())
    assert compute_grid(compute_summary(nothing).strata).missing
