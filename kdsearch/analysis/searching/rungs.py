"""How well the rungs of a pruner foretold the end, by the trials that nothing stopped."""

from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.context import Context
from kdsearch.analysis.response.response import Encoding, forecast_at
from kdsearch.results import Results


class Rung(NamedTuple):
    """One rung at which trials were stopped."""

    epoch: int
    stopped: int
    """Trials."""
    raw: float | None
    """Rank correlation, within strata and arms, of the score at the rung and the end."""
    forecast: float | None
    """The same of the forecast that students were compared by (leave-one-out)."""
    num_trials: int
    """Trials trained to the end, which both correlations are over."""


def compute_rungs(results: Results) -> tuple[Rung, ...]:
    """The rungs at which a study stopped trials, first ones first."""
    search = results.select(stage="search")
    ends = [len(t.history) for t in search if t.state == "PRUNED"]
    if not ends:
        return ()
    encoding = Encoding.of(results.config)
    rungs = []
    for epoch in sorted(set(ends)):
        forecast = forecast_at(results.config, encoding, epoch, search)
        complete = sum(t.state == "COMPLETE" for t in search)
        if forecast is None:
            rungs.append(Rung(epoch, ends.count(epoch), None, None, complete))
        else:
            raw, told = forecast.raw_correlation, forecast.correlation
            rungs.append(Rung(epoch, ends.count(epoch), raw, told, forecast.num_trials))
    return tuple(rungs)


def rung_words(rungs: tuple[Rung, ...]) -> str:
    """What the rungs stopped and how well they told; empty without any."""
    return "; ".join(
        f"after epoch {r.epoch} {wording.plural(r.stopped, 'trial')} stopped; rank correlation "
        f"with the end {_number(r.raw)} of the score, {_number(r.forecast)} of the forecast "
        f"(n = {r.num_trials} trained to the end)"
        for r in rungs
    )


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def rungs_in(context: Context) -> tuple[Rung, ...]:
    """Of the study under analysis."""
    return compute_rungs(context.results)
