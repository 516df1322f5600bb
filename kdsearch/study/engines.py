"""Which engine a study trains with: chosen once, by measurement, and kept."""

from collections.abc import Sequence
from dataclasses import replace

from kdsearch.config.training import EngineChoice
from kdsearch.execution import CohortTask
from kdsearch.execution.engine import is_in_closed_form
from kdsearch.execution.measurement import population_speedup
from kdsearch.execution.task import EngineName
from kdsearch.study.listener import Listener
from kdsearch.study.storage.ledger import Ledger
from kdsearch.training.data import select_device

MARGIN = 1.5
"""How much faster the unusual engine must be: measurements on a busy machine differ by 1.4."""
LEAST_MEASURED = 4
"""Students of the cohort that was measured, below which its choice is not kept: two students
together tell little of sixty."""


def with_engine(
    tasks: Sequence[CohortTask], engine: EngineChoice, *, ledger: Ledger, listener: Listener
) -> list[CohortTask]:
    """The tasks, to be trained by the study's engine.

    `training.engine: auto` measures on the first cohort whose students can be stacked, from the
    one with the widest of them down, because a population gains least there. The choice is
    stored, because the engines agree to rounding only, and a resumed study must give the same
    numbers. It is the usual one for the model and the device, unless the other is faster by a
    margin, so that a fresh run of one file takes the same again; and it is kept only once a
    whole cohort has been measured.
    """
    chosen = engine if engine != "auto" else ledger.engine or _measure(tasks, ledger, listener)
    return [replace(task, engine=chosen) for task in tasks]


def _measure(tasks: Sequence[CohortTask], ledger: Ledger, listener: Listener) -> EngineName:
    engine: EngineName = "reference"
    is_known = True
    for task in sorted(tasks, key=_widest, reverse=True):
        speedup = population_speedup(task)
        if speedup is not None:
            engine = _decide(_usual(task), speedup)
            is_known = len(task.specs) >= LEAST_MEASURED
            how = "together in one step" if engine == "population" else "one after another"
            listener.note(
                f"{task.specs[0].trial.student.kind} students are trained {how}: together is "
                f"{speedup:.1f} times as fast here, for the widest of them{_beside(tasks)}"
            )
            break
    if is_known:
        ledger.save_engine(engine)
    return engine


def _usual(task: CohortTask) -> EngineName:
    """What is faster on every machine that was measured.

    On a CPU torch's convolutions lose together; conv1d does without them.
    """
    trial = task.specs[0].trial
    on_gpu = select_device(trial.training.device).type == "cuda"
    return "population" if on_gpu or trial.student.kind in ("mlp", "conv1d") else "reference"


def _beside(tasks: Sequence[CohortTask]) -> str:
    """What becomes of losses whose slopes are not written out."""
    open_form = [t.specs[0] for t in tasks if not is_in_closed_form(t.specs[0])]
    if not open_form:
        return ""
    kind = open_form[0].trial.distillation.kind
    return f" (a loss of `kind: {kind}` has no closed form, so its slope is left to autograd)"


def _decide(usual: EngineName, speedup: float) -> EngineName:
    if usual == "population":
        return "reference" if speedup < 1 / MARGIN else "population"
    return "population" if speedup > MARGIN else "reference"


def _widest(task: CohortTask) -> int:
    return max(spec.trial.student.width for spec in task.specs)
