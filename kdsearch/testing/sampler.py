"""What every sampler must do: proposals that follow from what it is shown."""

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

TRIALS, ASKED = 8, 4
SPACE: dict[str, optuna.distributions.BaseDistribution] = {
    "temperature": optuna.distributions.FloatDistribution(1.0, 20.0, log=True),
    "alpha": optuna.distributions.FloatDistribution(0.0, 1.0),
    "ensemble_size": optuna.distributions.CategoricalDistribution((1, 2, 4)),
}


class SamplerContract:
    """Subclass it and give it `make_sampler`, what `sampler.target` names in a study file.

    A study makes a sampler anew for every trial, so that it goes on after a kill as if nothing
    had been: what a sampler remembers itself is lost.
    """

    def make_sampler(self, seed: int) -> BaseSampler:
        """Makes the sampler under test."""
        raise NotImplementedError

    @pytest.fixture
    def history(self) -> list[FrozenTrial]:
        """What has been tried: complete, pruned and failed trials."""
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1)
        )
        states = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        for number in range(TRIALS):
            trial = study.ask(SPACE)
            trial.report(0.5 - abs(trial.params["alpha"] - 0.3), step=3)
            state = states[number % len(states)]
            value = 1.0 - abs(trial.params["alpha"] - 0.3)
            study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)
        return study.get_trials()

    def test_proposals_lie_in_the_space(self, history: list[FrozenTrial]) -> None:
        """Also where nothing has been tried; then other seeds propose other settings."""
        for known in ([], history):
            asked = [self.ask(known, seed) for seed in range(ASKED)]
            for settings in asked:
                assert settings.keys() == SPACE.keys()
                for name, value in settings.items():
                    space = SPACE[name]
                    assert space._contains(space.to_internal_repr(value)), (name, value)
            assert known or len({str(settings) for settings in asked}) > 1

    def test_the_same_seed_proposes_the_same(self, history: list[FrozenTrial]) -> None:
        """After a kill, too."""
        for seed in range(ASKED):
            assert self.ask(history, seed) == self.ask(history, seed)

    def ask(self, history: list[FrozenTrial], seed: int) -> dict[str, object]:
        """One proposal, as a study asks for it."""
        study = optuna.create_study(direction="maximize", sampler=self.make_sampler(seed))
        study.add_trials(history)
        return dict(study.ask(SPACE).params)
