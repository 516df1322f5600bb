"""Whoever compares students pairs those of one architecture, and others never."""

import numpy as np
import pytest

from kdsearch.analysis.comparison import compare, difference
from kdsearch.analysis.estimate import estimate_difference, estimate_mean
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.luck import luck_of
from kdsearch.analysis.stratum import Choice
from kdsearch.config import METRICS
from kdsearch.results.pairing import paired_differences
from tests.study.records import confirm_runs as runs

ACCURACY = METRICS["accuracy"]
MINE = {1: 0.80, 2: 0.84, 3: 0.81}
ITS = {3: 0.77, 2: 0.78, 4: 0.50}


def choice(replicates, rivals=()):
    return Choice(replicates[0], None, replicates, None, 0.8, newer_choice=False,
                  rivals=rivals)  # fmt: skip


def test_one_architecture_is_paired_by_number():
    mine, its = runs(MINE), runs(ITS, temperature=4.0)
    paired = paired_differences(mine, its, ACCURACY)
    found = difference(choice(mine), choice(its), metric=ACCURACY, confidence=0.9)
    assert found == estimate_mean(paired, confidence=0.9)
    (both,) = compare([(choice(mine), choice(its))], [None], ACCURACY)
    assert both is not None
    assert (both.mean, both.n, len(both.parts)) == (pytest.approx(0.05), 2, 1)


def test_two_architectures_are_two_samples():
    mine, its = runs(MINE), runs(ITS, width=16)
    found = difference(choice(mine), choice(its), metric=ACCURACY, confidence=0.9)
    assert found == estimate_difference(list(MINE.values()), list(ITS.values()), confidence=0.9)
    both, nothing = compare([(choice(mine), choice(its)), None], [None, None], ACCURACY)
    assert both is not None
    assert nothing is None
    assert both.mean == pytest.approx(np.mean(list(MINE.values())) - np.mean(list(ITS.values())))
    assert (both.n, len(both.parts)) == (3, 2)


def test_a_choice_that_has_not_been_tested_is_compared_with_nothing():
    trial = runs({1: 0.8}, width=16)[0]
    untested = choice((trial,))._replace(replicates=())
    assert compare([(choice(runs(MINE)), untested)], [None], ACCURACY) == [None]
    assert difference(choice(runs(MINE)), untested, metric=ACCURACY, confidence=0.9) is None


def test_candidates_of_two_architectures_tell_of_the_search_by_all_their_replicates():
    mine = {1: 0.80, 2: 0.82, 3: 0.81}
    paired = luck_of([choice(runs(mine), (runs(ITS, trial=1),))], 0.005, Headline(ACCURACY))
    alone = luck_of(
        [choice(runs(mine), (runs(ITS, trial=1, width=16),))], 0.005, Headline(ACCURACY)
    )
    assert paired.spread is not None
    assert alone.spread is not None
    assert paired.spread.differences == pytest.approx([0.04])
    assert alone.spread.differences == pytest.approx([0.81 - np.mean(list(ITS.values()))])
    by_hand = estimate_difference(list(mine.values()), list(ITS.values()))
    assert by_hand is not None
    assert alone.spread.errors == pytest.approx([by_hand.se], rel=1e-3)
    single = runs({3: 0.7}, trial=1, width=16)
    assert luck_of([choice(runs(mine), (single,))], 0.005, Headline(ACCURACY)).spread is None
