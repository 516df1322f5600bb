"""The report says how well the rungs of a pruner told the end, from the trials nothing stopped."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from summary import compute_summary
from synthetic import RUNG, make_results, with_curve

from kdsearch.analysis.page.making import making_rows
from kdsearch.analysis.searching.rungs import compute_rungs, rung_words
from kdsearch.results import Results


def study(noise: float) -> Results:
    """Of the trials of one stratum and arm every third is stopped; ends follow the rung."""
    rng = np.random.default_rng(1)
    base = make_results(widths=(16,), trials=36, replicates=0)
    mine = [t for t in base.trials if t.arm == "distilled"]
    scores = rng.uniform(0.3, 0.5, len(mine))
    ends = scores + 0.3 + noise * rng.standard_normal(len(mine))
    trials = [
        with_curve(t, float(a), float(b), stopped=i % 3 == 2)
        for i, (t, a, b) in enumerate(zip(mine, scores, ends, strict=True))
    ]
    return replace(base, trials=tuple(trials))


def test_the_rank_correlation_is_that_of_the_trials_trained_to_the_end() -> None:
    results = study(noise=0.05)
    (rung,) = compute_rungs(results)
    assert (rung.epoch, rung.stopped, rung.num_trials) == (RUNG, 12, 24)
    ended = [t.history for t in results.select(state="COMPLETE")]
    expected = spearmanr(
        [h[RUNG - 1].val_accuracy for h in ended], [h[-1].val_accuracy for h in ended]
    ).statistic
    # Ends are the best up to the end, so a rung above the last epoch is one; none here is.
    assert rung.raw == pytest.approx(expected)
    assert 0.3 < rung.raw < 0.95
    assert rung.forecast is not None


def test_rungs_that_tell_all_and_nothing() -> None:
    (sure,) = compute_rungs(study(noise=0.0))
    assert sure.raw == pytest.approx(1.0)
    assert sure.forecast == pytest.approx(1.0, abs=0.05)
    (blind,) = compute_rungs(study(noise=3.0))
    assert blind.raw is not None
    assert abs(blind.raw) < 0.6


def test_the_box_on_trials_has_it_where_trials_were_stopped() -> None:
    results = study(noise=0.05)
    (rung,) = compute_rungs(results)
    words = dict(making_rows(compute_summary(results).context))["Rungs"]
    assert words == (
        f"after epoch 13 12 trials stopped; rank correlation with the end {rung.raw:.2f} of the "
        f"score, {rung.forecast:.2f} of the forecast (n = 24 trained to the end)"
    )
    whole = replace(results, trials=results.select(state="COMPLETE"))
    assert "Rungs" not in dict(making_rows(compute_summary(whole).context))
    assert compute_rungs(whole) == ()


def test_too_few_that_were_trained_to_the_end_tell_nothing() -> None:
    results = study(noise=0.05)
    few = [t for t in results.trials if t.state == "COMPLETE"][:11]
    stopped = [t for t in results.trials if t.state == "PRUNED"]
    rungs = compute_rungs(replace(results, trials=(*few, *stopped)))
    assert rungs[0].raw is None
    assert "not known of the score, not known of the forecast" in rung_words(rungs)
