"""Which engine a study trains with: chosen once, by measurement, and kept."""

from collections.abc import Sequence
from dataclasses import replace

from kdsearch.config import StudyConfig
from kdsearch.execution import CohortTask
from kdsearch.execution.measurement import population_speedup
from kdsearch.execution.task import EngineName
from kdsearch.study.ledger import Ledger
from kdsearch.study.listener import Listener


def with_engine(
    tasks: Sequence[CohortTask], config: StudyConfig, ledger: Ledger, listener: Listener
) -> list[CohortTask]:
    """The tasks, to be trained by the study's engine.

    `training.engine: auto` measures on the first cohort whose students can be stacked, from the
    one with the widest of them down, because a population gains least there. The choice is
    stored, because the engines agree to rounding only, and a resumed study must give the same
    numbers.
    """
    engine = config.training.engine
    chosen = engine if engine != "auto" else ledger.engine or _measure(tasks, ledger, listener)
    return [replace(task, engine=chosen) for task in tasks]


def _measure(tasks: Sequence[CohortTask], ledger: Ledger, listener: Listener) -> EngineName:
    engine: EngineName = "reference"
    for task in sorted(tasks, key=_widest, reverse=True):
        speedup = population_speedup(task)
        if speedup is not None:
            engine = "population" if speedup > 1 else "reference"
            how = "together" if engine == "population" else "one by one"
            listener.note(
                f"{task.rows[0].trial.student.kind} students are trained {how} (engine: "
                f"{engine}): together is {speedup:.1f} times as fast here, for the widest of them"
            )
            break
    ledger.save_engine(engine)
    return engine


def _widest(task: CohortTask) -> int:
    return max(row.trial.student.width for row in task.rows)
