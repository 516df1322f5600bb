"""Cohorts that would train for long, for a coordinator that will not live to see their end."""

from pathlib import Path

from kdsearch.cache import cache_folder
from kdsearch.execution import CohortTask, StudentSpec
from kdsearch.results.score import BY_ACCURACY
from kdsearch.testing.small_study import small_study


def make_tasks(folder: Path) -> list[CohortTask]:
    config = small_study(training__epochs=100_000)
    settings = {"width": 8, "temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01}
    row = StudentSpec(key="row", trial=config.trial_config(settings), seed=1, order_seed=2)
    return [
        CohortTask(
            key=key,
            specs=(row,),
            until=None,
            ranking=BY_ACCURACY,
            teacher_data=config.data,
            checkpoint=folder / f"{key}.pt",
            students=folder / "students",
            cache=cache_folder(),
        )
        for key in ("one", "two")
    ]
