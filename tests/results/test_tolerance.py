"""A tolerance as a fraction, or as a share of the teachers' errors."""

from typing import Any

import pytest

from kdsearch.results import Evaluation, TeacherBankRecord
from kdsearch.results.record import EnsembleRecord
from kdsearch.results.tolerance import absolute_tolerance, with_absolute_tolerance
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation


def bank(val: float, test: float | None) -> TeacherBankRecord:
    alone = EnsembleRecord(size=1, val=evaluation(0.5), test=evaluation(0.5))
    tested: Evaluation | None = None if test is None else evaluation(test)
    full = EnsembleRecord(size=2, val=evaluation(val), test=tested)
    return TeacherBankRecord(key="k", members=(), ensembles=(alone, full))


def of(tolerance: Any, *banks: TeacherBankRecord, split: Any = "test") -> float:
    return absolute_tolerance(small_study(study={"tolerance": tolerance}), banks, split)


def test_a_fraction_is_what_it_is() -> None:
    assert of(0.02, bank(0.9, 0.8)) == 0.02


def test_a_share_is_of_the_errors_of_the_full_ensemble() -> None:
    assert of("10%", bank(0.9, 0.8)) == pytest.approx(0.02)
    assert of("2.5%", bank(0.9, 0.8)) == pytest.approx(0.005)
    assert of("10%", bank(0.9, 0.8), split="val") == pytest.approx(0.01), "test is sealed"
    assert of("10%", bank(0.9, None)) == pytest.approx(0.01), "test is not opened yet"


def test_of_a_metric_without_errors_it_is_a_share_of_its_own_value() -> None:
    config = small_study(study={"tolerance": "10%", "metric": "brier"})
    found = bank(0.9, 0.8)
    value = found.ensembles[-1].test.value("brier")
    assert absolute_tolerance(config, [found], "test") == pytest.approx(0.1 * value)


def test_of_several_banks_the_best_counts() -> None:
    assert of("10%", bank(0.9, 0.8), bank(0.9, 0.95)) == pytest.approx(0.005)


def test_before_there_is_a_teacher_it_is_the_default_and_never_nothing() -> None:
    assert of("10%") == 0.005
    assert of("10%", bank(1.0, 1.0)) == 0.0001


def test_a_study_with_the_fraction_in_it() -> None:
    config = small_study(study={"tolerance": "50%", "confidence": 0.8})
    found = with_absolute_tolerance(config, [bank(0.9, 0.8)], "test")
    assert found.study.tolerance == pytest.approx(0.1)
    assert found.model_copy(update={"study": config.study}) == config
