"""Every sampler proposes the same whether the study ran through or was killed between two asks."""

from pathlib import Path

import pytest

from kdsearch import run_study
from kdsearch.config import StudyConfig
from kdsearch.errors import UserInputError
from kdsearch.study.proposal.lane import Proposal, lanes_of, new_record, nuisances
from kdsearch.study.proposal.sampler import LaneSampler
from kdsearch.study.proposal.space import distributions
from kdsearch.study.storage.database import connect_existing
from kdsearch.study.storage.ledger import Ledger
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, history

pytestmark = pytest.mark.slow

SAMPLERS = {
    "tpe": {"kind": "tpe", "startup_trials": 3},
    "random": {"kind": "random"},
    "gp": {"kind": "gp", "startup_trials": 3},
    "nsga2": {"kind": "nsga2", "population_size": 4},
    "qmc": {"kind": "qmc"},
    "surface": {"kind": "surface"},
    "grid": {"kind": "grid"},
}
GRID_SEARCH = {
    "temperature": {"role": "nuisance", "values": [1.0, 2.0, 4.0, 8.0]},
    "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0, "step": 0.5},
}
GENERATION, GENERATIONS = 4, 3


def study_of(kind: str) -> StudyConfig:
    if kind == "grid":
        return small_study(sampler=SAMPLERS[kind], search=GRID_SEARCH, budget__trials=12)
    width = {"role": "fixed", "value": 4}
    return small_study(sampler=SAMPLERS[kind], search__width=width, budget__trials=12)


def proposals(config: StudyConfig, *, reopen: bool) -> list[tuple[object, ...]]:
    """Ask and tell three generations; a reopened ledger and a new sampler before every ask."""
    ledger = Ledger.create(config, command="")
    lane = lanes_of(config, config.strata())[0]
    space = distributions(config, nuisances(config, lane.arm))
    sampler = None
    for number in range(GENERATION * GENERATIONS):
        if reopen:
            ledger = Ledger(connect_existing(config.storage), config.name)
        if reopen or sampler is None or number % GENERATION == 0:
            trials = ledger.trials("distilled")
            sampler = LaneSampler(config, lane, trials)
        proposal = sampler.ask(number)
        record = new_record(config, lane, proposal, trial=number)
        attrs = proposal.remembered
        ledger.add(record, space, generation=number // GENERATION, system_attrs=attrs)
        if (number + 1) % GENERATION == 0:
            tell(ledger)
    return [tuple(r.settings[name] for name in space) for r in ledger.records()]


def tell(ledger: Ledger) -> None:
    """End the generation: two complete, one pruned, one failed, scored by their settings."""
    for record in (r for r in ledger.records() if r.state == "RUNNING"):
        accuracy = 1 / (1 + abs(float(record.settings["alpha"]) - 0.3))
        ledger.report(record, epoch=1, score=accuracy / 2)
        state = ("COMPLETE", "COMPLETE", "PRUNED", "FAIL")[record.trial % GENERATION]
        update = {"state": state, "history": history(accuracy / 2), "epochs": 1}
        val = {"val": evaluation(accuracy)} if state == "COMPLETE" else {}
        ledger.finish(record.model_copy(update=update | val))


@pytest.mark.parametrize("kind", SAMPLERS)
def test_proposals_depend_on_the_ledger_alone_and_differ(
    kind: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = study_of(kind)
    found = []
    for reopen in (False, True):
        monkeypatch.chdir(tmp_path_factory.mktemp("study"))
        found.append(proposals(config, reopen=reopen))
    assert found[0] == found[1]
    assert len(set(found[0])) == GENERATION * GENERATIONS
    other = config.model_copy(update={"seed": 1})
    monkeypatch.chdir(tmp_path_factory.mktemp("seed"))
    assert proposals(other, reopen=False) != found[0]


def test_lanes_are_asked_independently(folder: Path) -> None:
    config = small_study()
    first = {}
    for lane in lanes_of(config, config.strata()):
        first[lane.key] = LaneSampler(config, lane, []).ask(0).tuned
        assert set(first[lane.key]) == set(nuisances(config, lane.arm))
    assert set(first["baseline-width=4"]) == {"learning_rate"}


def test_a_lane_with_nothing_to_tune_has_one_empty_proposal() -> None:
    config = small_study(
        search={"alpha": {"role": "scientific", "values": [0.0, 0.5]}}, budget__trials=1
    )
    lane = lanes_of(config, config.strata())[0]
    assert LaneSampler(config, lane, []).ask(0) == Proposal({})


USERS_SAMPLER = """
import optuna

def make(seed, startup=10):
    return optuna.samplers.TPESampler(n_startup_trials=startup, multivariate=True, seed=seed)

def other(seed):
    return "tpe"

class Breaks(optuna.samplers.RandomSampler):
    def sample_relative(self, study, trial, space):
        raise KeyError("lost")

def breaks(seed):
    return Breaks(seed=seed)
"""


@pytest.fixture
def users_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"samplers_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(USERS_SAMPLER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_users_own_sampler_proposes_as_ours_does(
    users_sampler: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"kind": "import", "target": f"{users_sampler}:make", "options": {"startup": 3}}
    found = []
    for sampler in (SAMPLERS["tpe"], own):
        width = {"role": "fixed", "value": 4}
        config = small_study(sampler=sampler, search__width=width, budget__trials=12)
        monkeypatch.chdir(tmp_path_factory.mktemp("study"))
        found.append(proposals(config, reopen=True))
    assert found[0] == found[1]


def test_a_users_sampler_that_cannot_work_is_refused_before_anything_runs(
    users_sampler: str, folder: Path
) -> None:
    config = small_study(sampler={"kind": "import", "target": f"{users_sampler}:other"})
    with pytest.raises(UserInputError, match="returned type str; an optuna"):
        run_study(config, workers=0)
    assert not list(folder.glob("*.db"))


def test_a_users_sampler_that_fails_is_named(users_sampler: str) -> None:
    target = f"{users_sampler}:breaks"
    config = small_study(sampler={"kind": "import", "target": target})
    lane = lanes_of(config, config.strata())[0]
    with pytest.raises(UserInputError, match=f"Asking '{target}' failed with KeyError: 'lost'"):
        LaneSampler(config, lane, []).ask(0)
