"""The Pareto front, worked by hand."""

from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord
from kdsearch.results.pareto import pareto_front
from kdsearch.testing.small_study import small_study
from tests.study.records import make_record

CONFIG = small_study(
    objective=[
        {"metric": "val_accuracy", "direction": "maximize"},
        {"metric": "num_params", "direction": "minimize"},
    ]
)


def points(config: StudyConfig, *values: tuple[float, int]) -> list[TrialRecord]:
    return [
        make_record(config, trial, val=accuracy, num_params=size)
        for trial, (accuracy, size) in enumerate(values)
    ]


def front(*values: tuple[float, int]) -> list[int]:
    return [r.trial for r in pareto_front(points(CONFIG, *values), CONFIG.objective)]


def test_dominated_points_go_and_the_rest_is_ordered_by_the_first_objective() -> None:
    # 2 is worse than 0 in both; 3 has 1's accuracy and is larger; 4 is the smallest.
    assert front((0.8, 50), (0.9, 100), (0.7, 60), (0.9, 120), (0.5, 10)) == [1, 0, 4]


def test_equal_points_count_once_as_the_earliest() -> None:
    assert front((0.8, 50), (0.8, 50), (0.9, 100)) == [2, 0]


def test_one_point_and_none() -> None:
    assert front((0.1, 1)) == [0]
    assert front() == []
