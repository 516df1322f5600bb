"""Who proposes settings: an Optuna sampler over a lane's history, seeded by trial number.

The lane's history is loaded into a study in memory for each generation (0.1 s for 1000 trials),
so a sampler has no state besides what the storage holds: a resumed study asks for exactly what
an uninterrupted one would have.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import assert_never

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from kdsearch.config import SamplerConfig, Scalar, StudyConfig
from kdsearch.config.seed import derive_seed
from kdsearch.errors import UserInputError
from kdsearch.study.proposal.lane import Lane, Proposal, nuisances
from kdsearch.study.proposal.space import distributions, grid_points, sobol_point
from kdsearch.user_code import UserCode, call_target, import_target

MakeSampler = Callable[..., BaseSampler]
"""`make(seed=..., **options)`: what `sampler.target` names, and what `run_study` may be given."""


class LaneSampler:
    """Proposes settings for one lane."""

    def __init__(self, config: StudyConfig, lane: Lane, history: Sequence[FrozenTrial]) -> None:
        """Set up a sampler that knows the lane's trials.

        Args:
            config: The study.
            lane: The lane.
            history: Its trials in the order they were asked, as the storage holds them.
        """
        self._config = config
        self._lane = lane
        self._space = nuisances(config, lane.arm)
        self._distributions = distributions(config, self._space)
        self._asked = len(history)
        self._grid: list[dict[str, Scalar]] = []
        self._history = history

    @cached_property
    def _study(self) -> optuna.Study:
        study = optuna.create_study(directions=[o.direction for o in self._config.objective])
        for trial in self._history:
            study.add_trial(self._own_part(trial))
        return study

    def ask(self, number: int, start: Mapping[str, Scalar] | None = None) -> Proposal:
        """Settings for the storage's trial `number`; later proposals know of this one.

        Args:
            number: Seeds the proposal.
            start: Settings to propose instead of the sampler's own choice: a warm start.
        """
        index = self._asked
        self._asked += 1
        kind = self._config.sampler_kind
        lane_seed = derive_seed("lane", self._config.seed, self._lane.key)
        if not self._space:
            return Proposal({})
        if kind == "grid":
            if not self._grid:
                self._grid = grid_points(self._space, lane_seed)
            return Proposal(self._grid[index])
        if kind in ("qmc", "surface"):
            return Proposal(sobol_point(self._distributions, index, lane_seed % 2**32))
        seed = derive_seed("sampler", self._config.seed, self._lane.arm, number)
        self._study.sampler = build_sampler(self._config, seed % 2**32)
        if start is not None:
            self._study.enqueue_trial(dict(start))
        target = self._config.sampler.target
        with UserCode(f"Asking '{target}'", UserInputError) if target else nullcontext():
            trial = self._study.ask(self._distributions)
        asked = self._study.get_trials(deepcopy=False)[trial.number]
        return Proposal(dict(trial.params), dict(asked.system_attrs))

    def _own_part(self, trial: FrozenTrial) -> FrozenTrial:
        is_single = len(self._config.objective) == 1
        finished = trial.state == TrialState.COMPLETE
        return optuna.trial.create_trial(
            state=trial.state,
            params={name: trial.params[name] for name in self._distributions},
            distributions=self._distributions,
            values=trial.values if finished else None,
            intermediate_values=trial.intermediate_values if is_single else {},
            system_attrs=trial.system_attrs,
        )


class OrderedNSGAII(optuna.samplers.NSGAIISampler):
    """NSGA-II whose parents have one order.

    Optuna returns them ranked when it selects them and by number when it remembers them, and
    draws from that list: a study resumed between two asks would be proposed other settings.
    """

    def select_parent(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by number."""
        return sorted(super().select_parent(study, generation), key=lambda t: t.number)


def build_sampler(config: StudyConfig, seed: int) -> BaseSampler:
    """The study's sampler, freshly seeded."""
    sampler = config.sampler
    match config.sampler_kind:
        case "tpe":
            return optuna.samplers.TPESampler(
                n_startup_trials=sampler.startup_trials, multivariate=True, seed=seed
            )
        case "gp":
            return optuna.samplers.GPSampler(n_startup_trials=sampler.startup_trials, seed=seed)
        case "nsga2":
            return OrderedNSGAII(population_size=sampler.population_size, seed=seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "import":
            return imported_sampler(sampler, seed)
        case "grid" | "qmc" | "surface":
            raise AssertionError(f"{config.sampler_kind} needs no Optuna sampler")
        case _:
            assert_never(config.sampler_kind)


def imported_sampler(config: SamplerConfig, seed: int) -> BaseSampler:
    """The user's own sampler, freshly seeded.

    Raises:
        UserInputError: The callable cannot be found, fails, or returns something else.
    """
    assert config.target is not None
    made = call_target(config.target, {"seed": seed, **config.options})
    if not isinstance(made, BaseSampler):
        raise UserInputError(
            f"sampler.target: '{config.target}' returned type {type(made).__name__}; an "
            "optuna.samplers.BaseSampler is allowed"
        )
    return made


def with_sampler(config: StudyConfig, make: MakeSampler) -> StudyConfig:
    """The study as if its file named a sampler that was passed in.

    So what is stored says who proposed, and a study that goes on without it is refused.

    Args:
        config: A study whose file leaves `sampler.kind` open, or names this very sampler.
        make: A function or class of a module; `functools.partial` gives it options.

    Raises:
        ValueError: The file names another sampler, or `make` has no name that finds it again.
    """
    plain, options = make, {}
    if isinstance(make, partial):
        plain, options = make.func, dict(make.keywords)
    target = f"{getattr(plain, '__module__', '')}:{getattr(plain, '__qualname__', '')}"
    try:
        is_found = import_target(target) is plain and not getattr(make, "args", ())
    except UserInputError:
        is_found = False
    if not is_found:
        raise ValueError(
            f"sampler: {target} is not a function or class that its module has by that name, with "
            "options by keyword: a study that goes on must find its sampler again"
        )
    update = {"kind": "import", "target": target, "options": options}
    sampler = SamplerConfig.model_validate(config.sampler.model_dump() | update)
    if config.sampler.kind is not None and config.sampler != sampler:
        raise ValueError(
            f"sampler: the study names one itself (sampler.kind is {config.sampler.kind}); give "
            "one of the two"
        )
    return config.model_copy(update={"sampler": sampler})
