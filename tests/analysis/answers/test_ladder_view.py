import dataclasses

import pytest
from synthetic import make_results, study_config

from kdsearch.analysis import write_report
from kdsearch.analysis.answers.ladder import compute_ladder, ladder_sentence, ladder_table
from kdsearch.analysis.searching.budget import compute_budget
from kdsearch.analysis.strata import compute_strata

SEARCH = {
    "temperature": {"role": "nuisance", "low": 1.0, "high": 20.0, "log": True},
    "learning_rate": {"role": "nuisance", "low": 3e-4, "high": 3e-2, "log": True},
}


def study(sizes, top=256):
    """The sizes in the order they were tried; six trials each, one of them in all pruned."""
    base = make_results(widths=sizes, trials=6, replicates=2, sd=0.001)
    ladder = {"start": 4, "factor": 2, "max": top}
    config = study_config(search=SEARCH, study={"ladder": ladder}, budget={"trials": 6})
    return dataclasses.replace(base, config=config)


def test_order_and_saving_by_hand():
    results = study((4, 8, 16, 32, 64, 24))
    info = compute_ladder(results, compute_strata(results))
    assert [r.size for r in info.rungs] == [4, 8, 16, 32, 64, 24]
    assert [r.on_grid for r in info.rungs] == [True] * 5 + [False]
    assert info.not_tried == (128, 256)
    # Two sizes left out and one added: one size of 12 trials (6 in each arm) was saved.
    assert all(r.trials == 12 for r in info.rungs)
    assert info.trials_saved == 12
    assert info.epochs_saved == round(sum(r.epochs for r in info.rungs) / 6)
    sentence = ladder_sentence(info)
    assert sentence.startswith(
        "The ladder tried width 4, 8, 16, 32 and 64 in this order and, around the saturation "
        "point, 24: against the full grid it left out 2 sizes (128 and 256), about 12 trials and "
    )
    assert ladder_table(info).rows[-1][:3] == ("6", "width 24", "around the saturation point")


def test_strata_are_the_sizes_tried():
    results = study((4, 8, 16, 32, 64, 24))
    assert [s.label for s in compute_strata(results).strata] == [
        f"width {n}" for n in (4, 8, 16, 24, 32, 64)
    ]
    assert compute_budget(results).equal


def test_a_ladder_that_climbed_to_its_end_saved_nothing():
    results = study((4, 8, 16, 32, 64), top=64)
    info = compute_ladder(results, compute_strata(results))
    assert "climbed to its end, so it saved nothing" in ladder_sentence(info)
    more = study((4, 8, 16, 32, 64, 24, 48), top=128)
    info = compute_ladder(more, compute_strata(more))
    assert info.trials_saved == -12
    assert "saved nothing" in ladder_sentence(info)


@pytest.mark.slow
def test_the_report_shows_it(tmp_path):
    report = write_report(study((4, 8, 16, 32, 64, 24)), tmp_path / "r")
    assert any("The ladder tried" in sentence for sentence in report.details)
    assert (tmp_path / "r" / "figures" / "ladder.png").stat().st_size > 10_000


def test_other_studies_have_none(results):
    assert compute_ladder(results, compute_strata(results)) is None
    assert ladder_sentence(None) == ""
