"""`search:`, `objective:`, `sampler:`, `pruner:`, `budget:`, `confirm:` - what is asked, how."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kdsearch.config.base import PositiveInt, Scalar, Section, Target
from kdsearch.config.metric import Direction, objective_direction, objective_name

Role = Literal["scientific", "nuisance", "fixed"]
MAX_POINTS = 1_000_000
VALUES_OF = {
    "scientific": "`values: [...]`",
    "nuisance": "`low` and `high`, or `values: [...]`",
    "fixed": "`value: ...`",
}


class SearchParameter(Section):
    """One parameter of the search space: a range, a list of values, or one fixed value."""

    role: Role = "nuisance"
    """`scientific`: the axis the study asks about; `nuisance`: tuned away; `fixed`."""
    low: int | float | None = None
    """Lowest value of a range, included."""
    high: int | float | None = None
    """Highest value of a range, included."""
    log: bool = False
    """Sample the logarithm uniformly; needs low > 0."""
    step: int | float | None = None
    """Grid of a range: low, low + step, ..."""
    values: Annotated[tuple[Scalar, ...] | None, Field(strict=False)] = None
    """The values to try."""
    value: Scalar | None = None
    """The one value of a fixed parameter."""

    @property
    def is_range(self) -> bool:
        """Whether the parameter is given by `low` and `high`."""
        return self.low is not None

    def given(self) -> list[tuple[str, Scalar]]:
        """Every value that the file names, with its key: `low`, `values.1`, `value`, ..."""
        single = {"low": self.low, "high": self.high, "value": self.value}
        listed = [(f"values.{i}", value) for i, value in enumerate(self.values or ())]
        return [(key, value) for key, value in single.items() if value is not None] + listed

    def num_points(self) -> int | None:
        """How many values it can take; None for a range without a step."""
        if self.low is None or self.high is None:
            return 1 if self.values is None else len(self.values)
        if self.step is None:
            return None
        # Decimal, because (1.0 - 0.7) // 0.1 is 2 in floats.
        low, high, step = (Decimal(str(x)) for x in (self.low, self.high, self.step))
        return int((high - low) // step) + 1

    def points(self) -> tuple[Scalar, ...] | None:
        """The values it can take, in order; None for a range without a step."""
        if self.values is not None:
            return self.values
        if self.value is not None:
            return (self.value,)
        count = self.num_points()
        if count is None or self.low is None or self.step is None:
            return None
        low, step = self.low, self.step
        if isinstance(low, int) and isinstance(step, int):
            return tuple(low + k * step for k in range(count))
        start, grid = Decimal(str(low)), Decimal(str(step))
        return tuple(float(start + k * grid) for k in range(count))

    def allows(self, number: float) -> bool:
        """Whether it can take a number."""
        points = self.points()
        if points is not None:
            return any(point == number and not isinstance(point, bool) for point in points)
        return self.low is not None and self.high is not None and self.low <= number <= self.high

    @model_validator(mode="after")
    def _one_kind_of_values(self) -> "SearchParameter":
        problem = self._problem()
        if problem is not None:
            raise ValueError(problem)
        return self

    def _problem(self) -> str | None:
        given = {
            "scientific": self.values is not None
            and not self._mentions_range()
            and self.value is None,
            "nuisance": self.value is None
            and (self.values is None) == self._mentions_range()
            and self._mentions_range() == (self.low is not None and self.high is not None),
            "fixed": self.value is not None and self.values is None and not self._mentions_range(),
        }
        if not given[self.role] or (self.values is None and self.role == "scientific"):
            return f"a {self.role} parameter is given by {VALUES_OF[self.role]}, and nothing else"
        if self.values is not None:
            return self._values_problem(self.values)
        if self.low is not None and self.high is not None:
            return self._range_problem(self.low, self.high)
        return None

    def _mentions_range(self) -> bool:
        return not (self.low is None and self.high is None and self.step is None and not self.log)

    def _range_problem(self, low: float, high: float) -> str | None:
        if low >= high:
            return f"low {low} is not below high {high}; allowed is low < high"
        if self.log and low <= 0:
            return f"log needs low > 0, not {low}"
        if self.step is not None and self.log:
            return "step and log exclude each other"
        if self.step is not None and not 0 < self.step <= high - low:
            return f"step {self.step} is not in the range; allowed is 0 < step <= {high - low}"
        if self.step is not None and (high - low) / self.step > MAX_POINTS:
            return f"step {self.step} makes more than {MAX_POINTS} points; take a larger one"
        return None

    @staticmethod
    def _values_problem(values: tuple[Scalar, ...]) -> str | None:
        if not values:
            return "values is empty; give at least one"
        # 1 and 1.0 are the same point, 1 and true are not.
        if len({(isinstance(value, bool), value) for value in values}) < len(values):
            return "values has duplicates; give each value once"
        return None


class Objective(Section):
    """What a trial is judged by."""

    metric: Annotated[str, AfterValidator(objective_name)]
    """`val_NAME` of a [metric](#metrics), or `num_params`, `macs` or `size_bytes`; the test set is
    never an objective."""
    direction: Direction = Field(
        default_factory=lambda known: objective_direction(known["metric"], {}) or "maximize"
    )
    """Which way is better; the metric's own if left out."""


SamplerKind = Literal["surface", "tpe", "random", "grid", "gp", "nsga2", "qmc", "import"]


class SamplerConfig(Section):
    """Who proposes settings."""

    kind: SamplerKind | None = None
    """`surface`: one Gaussian process through the trials of all strata and both arms. The others
    are Optuna's, each stratum and arm alone; `grid` needs `values` or `step` everywhere; `import`
    takes your own. null takes `surface`, and `tpe` for a Pareto study."""
    target: Target | None = None
    """import: `module:callable(seed, **options) -> optuna.samplers.BaseSampler`. It is called anew
    for every trial, so all that the sampler knows must come from the trials it is shown."""
    options: Annotated[dict[str, Scalar], Field(default_factory=dict)]
    """import: further keyword arguments for the callable."""
    startup_trials: PositiveInt = 10
    """tpe and gp: random trials of a stratum before the model takes over."""
    population_size: Annotated[int, Field(ge=2)] = 16
    """nsga2: trials in one generation of the genetic algorithm."""
    warm_start: bool = True
    """tpe, gp, random, import: a stratum's generations begin with the best settings of the strata
    beside it, within the budget, and are at most half of it; not for Pareto studies."""

    @model_validator(mode="after")
    def _target_goes_with_import(self) -> "SamplerConfig":
        if self.kind == "import" and self.target is None:
            raise ValueError("kind import needs `target: module:callable`")
        if self.kind != "import" and (self.target is not None or self.options):
            raise ValueError("target and options go with `kind: import` only")
        return self


class PrunerConfig(Section):
    """Who stops hopeless trials, at rungs: after min_epochs * reduction_factor^k epochs.

    Trials are compared by what their score at the rung forecasts for the end, which the study
    learns from a share of trials that nothing stops.
    """

    kind: Literal["none", "median", "halving", "hyperband"] = "none"
    """`halving`: successive halving; `hyperband`: halving with staggered first rungs."""
    reduction_factor: Annotated[int, Field(ge=2, le=16)] = 3
    """At a rung the best 1/reduction_factor go on (halving, hyperband)."""
    min_epochs: PositiveInt | None = None
    """The first rung; null takes epochs / reduction_factor, hyperband epochs / its square."""
    exempt: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    """Share of the trials that no rung stops: they tell how well rungs forecast the end."""
    min_correlation: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Rank correlation of forecast and end, over the exempt, below which a rung stops nobody."""


class BudgetConfig(Section):
    """How much is spent."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)]
    """Exact total of search trials, for each stratum and arm."""
    generation: Annotated[int, Field(ge=1, le=4096)] = 16
    """Trials asked at once, but no more than half of a stratum's where it learns from others, a
    quarter with a surface; results depend on it, and on nothing that happens at run time."""
    max_failures: Annotated[int, Field(ge=0)] = 10
    """Failed trials after which the study stops."""


class ConfirmConfig(Section):
    """What happens after the search: fresh seeds, and the test set."""

    replicates: Annotated[int, Field(ge=0, le=1000)] = 5
    """Fresh-seed trainings of each candidate; 0 leaves the test set sealed."""
    candidates: Annotated[int, Field(ge=1, le=64)] = 2
    """Settings of each stratum and arm that are confirmed. The replicates' validation chooses
    among them, so no lucky seed of the search decides; not for Pareto studies, which confirm
    their front."""
    refit: bool = False
    """Whether each replicate is trained once more from its first weights, on training and
    validation samples, for the epochs after which it validated best; that is tested and kept."""
    baseline: bool = True
    """Also tune and confirm the same student on hard labels only."""
    choose_by: Literal["surface", "score"] = "surface"
    """`surface`: the settings where a surface through the study's trials is highest, in which one
    lucky seed counts little; `score`: those with the best mean score."""
