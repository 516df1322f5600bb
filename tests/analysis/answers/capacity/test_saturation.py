"""The verdict on a study's capacity curve in words and in the report's document."""

import dataclasses
import json

import numpy as np
import pytest
from curves import SIZES, alike, flat, late, line, plateau, power_law, replicates, true_size
from synthetic import evaluation, make_results, num_params

from kdsearch.analysis.answers.capacity.capacity_curve import (
    CapacityCurveInfo,
    Series,
    SizedEstimate,
    compute_capacity_curve,
)
from kdsearch.analysis.answers.capacity.saturation import (
    compute_saturation,
    compute_saturations,
    saturation_document,
)
from kdsearch.analysis.estimate import estimate_mean
from kdsearch.analysis.headline import ACCURACY
from kdsearch.analysis.statistics.search_luck import SearchLuck, SearchSpread
from kdsearch.analysis.strata import compute_strata
from kdsearch.analysis.teachers import compute_teachers

NO_LUCK = SearchLuck.of(None, 0.005)


def curve_info(data, shares=None):
    """Students of 100 parameters a unit of width."""
    points = []
    for index, (n, row) in enumerate(zip(SIZES, data.tolist(), strict=True)):
        estimate = estimate_mean(row)
        assert estimate is not None
        size, share = int(n), None if shares is None else shares[index]
        points.append(
            SizedEstimate(
                f"width {size}",
                size,
                100 * size,
                None,
                None,
                dict(enumerate(row, 1)),
                estimate,
                share,
            )
        )
    return CapacityCurveInfo((Series("", "distilled", tuple(points)),), (), "")


def verdict(data, *, luck=NO_LUCK, shares=None):
    info = curve_info(data, shares)
    return compute_saturation(
        info, compute_saturations(info, luck, tolerance=0.005, confidence=0.9)
    )


def test_saturation_in_words_and_numbers():
    info = verdict(replicates(power_law))
    assert info.verdict == "saturated"
    assert info.width == pytest.approx(true_size(power_law), rel=0.1)
    assert info.enough == "width 512"
    assert info.clause.startswith("accuracy saturates at 29.")
    assert ", about width 29" in info.clause
    assert "(90 % interval " in info.clause
    assert info.fit is not None
    assert info.fit.gain_from_enough is not None
    most = 100 * info.fit.gain_from_enough.high
    assert info.clause.endswith(
        f": from width 512 on, larger students up to the largest tested gain at most {most:.2f} "
        "points"
    )
    document = saturation_document(info, ACCURACY)
    assert document["saturation_num_params"] == pytest.approx(100 * true_size(power_law), rel=0.1)
    assert document["enough_num_params"] == 51_200
    assert len(document["gain_to_largest"]) == 8
    assert sum(document["families"].values()) == pytest.approx(1.0)
    json.dumps(document, allow_nan=False)


def test_a_curve_that_rises_by_less_than_counts_is_not_simply_called_rising():
    rises, little = (
        verdict(replicates(lambda n, by=by: 0.3 - by * np.log2(n / 8))) for by in (0.0075, 0.004)
    )
    for info in (rises, little):
        assert info.verdict == "not_saturated"
        assert info.fit.last_doubling.low > 0.002
    assert rises.clause.startswith("accuracy is still rising: the last doubling of size gained 0.")
    assert little.clause.startswith(
        "accuracy is still rising, but little: the last doubling of size gained 0.41 points (0.3"
    )
    assert little.clause.endswith(
        ", less than the tolerance of 0.5 points, and the students at hand do not show that half "
        "the largest size is enough"
    )
    assert saturation_document(little, ACCURACY)["reason"] in little.clause


def test_what_lies_beyond_is_always_called_extrapolated():
    for error in (power_law, line, flat):
        beyond = verdict(replicates(error)).beyond
        assert beyond.startswith("Beyond the range tested (extrapolated), doubling the size again")
        assert beyond.endswith(", 90 %).")


def test_open_ends_are_null():
    equal = verdict(replicates(flat))
    assert "at or below the smallest size tested" in equal.clause
    assert saturation_document(equal, ACCURACY)["saturation_interval"] == [None, 800.0]
    rising = saturation_document(verdict(replicates(line)), ACCURACY)
    assert rising["saturation_interval"][0] > 25_600
    assert rising["saturation_interval"][1] is None
    assert rising["enough_num_params"] is rising["gain_from_enough"] is None
    json.dumps(rising, allow_nan=False)


def test_what_still_rises_is_said_to_rise_by_how_much():
    info = verdict(replicates(line))
    assert info.fit is not None
    gained = info.fit.last_doubling
    assert info.clause == (
        f"accuracy is still rising: the last doubling of size gained {100 * gained.median:.1f} "
        f"points ({100 * gained.low:.1f} to {100 * gained.high:.1f})"
    )
    assert info.enough == ""


def test_a_flat_curve_with_one_better_student_is_not_called_rising():
    data = alike(plateau, 0.0005)
    data[7] += 0.007
    info = verdict(data)
    assert info.verdict == "not_saturated"
    assert "rising" not in info.clause
    assert info.clause.startswith("the curve flattens (the last doubling of size gained ")
    assert "no larger student at hand is better by more than 0.5 points" in info.clause
    assert "still rising" in verdict(replicates(late)).clause


def test_what_cannot_be_told_says_what_would_tell():
    noisy = verdict(replicates(line, sd=0.04))
    assert noisy.verdict == "undetermined"
    assert noisy.clause.startswith("where accuracy saturates cannot be told: ")
    assert "replicates for each size would tell" in noisy.clause
    one = verdict(replicates(plateau, n=1))
    assert one.verdict == "undetermined"
    assert "without replicates" in one.clause
    document = saturation_document(one, ACCURACY)
    assert document["replicate_sd"] is None
    json.dumps(document, allow_nan=False)


def test_second_opinions_name_students_and_decide_nothing():
    info = verdict(replicates(plateau, sd=0.001))
    assert "width 64 and larger are equivalent to the largest student" in info.opinions
    assert "the one-standard-error rule picks width " in info.opinions
    rising = verdict(replicates(line))
    assert "no smaller student is shown to be equivalent" in rising.opinions


def test_the_luck_of_the_search_widens_the_interval():
    spread = SearchSpread(np.full(6, 0.01), np.full(6, 0.0005))
    data = replicates(power_law)
    wide, narrow = verdict(data, luck=SearchLuck.of(spread, 0.005)), verdict(data)
    assert wide.fit is not None
    assert narrow.fit is not None
    assert np.ptp(wide.fit.saturation_interval) > 1.5 * np.ptp(narrow.fit.saturation_interval)


def test_a_small_test_set_widens_the_interval_and_needs_correctness_of_all():
    data, rng = replicates(power_law), np.random.default_rng(0)
    shares = [rng.binomial(5, rng.uniform(0.7, 1, 300)) / 5 for _ in SIZES]
    alone, shared = verdict(data), verdict(data, shares=shares)
    assert shared.fit is not None
    assert alone.fit is not None
    assert np.ptp(shared.fit.gains[0]) > np.ptp(alone.fit.gains[0])
    partly = verdict(data, shares=[*shares[:-1], None])
    assert partly.fit is not None
    assert partly.fit.gains == alone.fit.gains


def test_seeds_that_some_sizes_lack_do_not_undo_an_equivalence():
    """Sizes are other architectures: no seed of one has a partner at another."""
    luck = {1: 0.002, 2: -0.001, 3: 0.0, 4: 0.0, 5: -0.001}
    base = make_results(widths=(64, 128, 256), trials=4, replicates=5, arms=("distilled",))
    trials = [
        t.model_copy(update={"test": evaluation(0.85 + luck[t.replicate]), "test_correct": None})
        if t.stage == "confirm"
        else t
        for t in base.trials
    ]
    dropped = {(64, 1), (128, 1), (256, 5)}
    fewer = [t for t in trials if (t.width, t.replicate) not in dropped or t.stage == "search"]

    def judged(records):
        results = dataclasses.replace(base, trials=tuple(records))
        info = compute_capacity_curve(results, compute_strata(results), compute_teachers(results))
        numbers = [list(p.by_replicate) for p in info.series[0].points]
        found = compute_saturations(info, NO_LUCK, tolerance=0.005, confidence=0.9)[""]
        assert found.fit is not None
        return numbers, found.fit.opinions.equivalent_size

    smallest = num_params(64)
    assert judged(trials) == ([[1, 2, 3, 4, 5]] * 3, smallest)
    assert judged(fewer) == ([[2, 3, 4, 5], [2, 3, 4, 5], [1, 2, 3, 4]], smallest)


def test_two_sizes_have_no_curve():
    info = curve_info(replicates(plateau))
    series = info.series[0]._replace(points=info.series[0].points[:2])
    short = compute_saturations(
        info._replace(series=(series,)), NO_LUCK, tolerance=0.005, confidence=0.9
    )[""]
    assert short.verdict == "undetermined"
    assert short.fit is None
    assert short.beyond == short.clause == ""
    assert saturation_document(short, ACCURACY) == {
        "verdict": "undetermined", "reason": "2 confirmed sizes are too few for a curve.",
    }  # fmt: skip
