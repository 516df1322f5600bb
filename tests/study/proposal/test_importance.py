"""Which parameters mattered, on trials whose answer is known."""

import numpy as np
import pytest

from kdsearch.config import Objective
from kdsearch.results import TrialRecord
from kdsearch.results.objective import complete_score
from kdsearch.study.proposal import importance
from kdsearch.study.proposal.importance import parameter_importance
from kdsearch.testing.small_study import small_study
from tests.study.records import make_record

CONFIG = small_study()


def trials(count: int, *, spread: float = 1.0) -> list[TrialRecord]:
    """Accuracy follows alpha alone; the stratum moves it far more than any parameter."""
    rng = np.random.default_rng(0)
    records = []
    for trial in range(count):
        alpha, temperature = rng.uniform(0, 1), rng.uniform(1, 10)
        lane = trial % 2
        accuracy = 0.1 + 0.6 * lane + spread * 0.2 * alpha
        settings = {
            "alpha": alpha,
            "temperature": temperature,
            "learning_rate": float(10 ** rng.uniform(-3, -1)),
            "ensemble_size": int(rng.integers(1, 3)),
        }
        records.append(make_record(CONFIG, trial, lane=lane, val=accuracy, settings=settings))
    return records


def test_the_parameter_that_decides_comes_first_and_shares_sum_to_one() -> None:
    shares = parameter_importance(CONFIG, trials(60))
    assert set(shares) == {"alpha", "temperature", "learning_rate", "ensemble_size"}
    assert next(iter(shares)) == "alpha"
    assert shares["alpha"] > 0.5
    assert sum(shares.values()) == pytest.approx(1.0)


def test_too_few_trials_say_nothing() -> None:
    assert parameter_importance(CONFIG, trials(47)) == {}, "four parameters want 48"
    assert parameter_importance(CONFIG, trials(48))


def test_trials_that_are_all_equal_say_nothing_and_break_nothing() -> None:
    shares = parameter_importance(CONFIG, trials(60, spread=0.0))
    assert shares == {} or all(0 <= share <= 1 for share in shares.values())


def test_one_parameter_needs_no_ranking() -> None:
    config = small_study(
        search={
            "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
            "width": {"role": "scientific", "values": [4, 8]},
        }
    )
    assert parameter_importance(config, trials(20)) == {}


def test_each_score_is_worked_out_a_fixed_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = 0

    def counted(record: TrialRecord, objective: Objective) -> float:
        nonlocal calls
        calls += 1
        return complete_score(record, objective)

    monkeypatch.setattr(importance, "complete_score", counted)
    importance.parameter_importance(CONFIG, trials(60))
    assert calls <= 3 * 60
