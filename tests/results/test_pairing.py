"""Pairs are replicates of one number, of students of one architecture."""

import pytest

from kdsearch.config import METRICS
from kdsearch.results.pairing import (
    are_alike,
    paired_differences,
    replicate_pairs,
    replicate_scores,
)
from tests.study.records import confirm_runs as runs

ACCURACY = METRICS["accuracy"]
MINE = {1: 0.80, 2: 0.84, 3: 0.81}
ITS = {3: 0.77, 2: 0.78, 4: 0.50}


def test_pairs_have_one_number_whatever_their_order():
    pairs = replicate_pairs(runs(MINE), runs(ITS, learning_rate=0.01))
    assert [(a.replicate, b.replicate) for a, b in pairs] == [(2, 2), (3, 3)]
    assert paired_differences(runs(MINE), runs(ITS), ACCURACY) == pytest.approx([0.06, 0.04])
    assert replicate_scores(runs(ITS), ACCURACY) == ITS


def test_replicates_without_a_test_are_no_pairs():
    untested = [r.model_copy(update={"test": None}) for r in runs(ITS)]
    assert replicate_pairs(runs(MINE), untested) == ()


@pytest.mark.parametrize("other", [{"width": 16}, {"student.depth": 3}, {"student.dropout": 0.2}])
def test_students_of_two_architectures_have_no_pairs(other):
    mine, its = runs(MINE), runs(ITS, **other)
    assert not are_alike(mine[0], its[0])
    assert replicate_pairs(mine, its) == ()


def test_what_students_are_taught_and_how_is_no_architecture():
    taught = {"temperature": 4.0, "ensemble_size": 2, "training.weight_decay": 0.1}
    mine, its = runs(MINE), runs(ITS, **taught)
    assert are_alike(mine[0], its[0])
