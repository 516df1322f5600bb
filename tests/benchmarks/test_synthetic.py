"""Synthetic trials are read back like real ones, and the benchmarks' studies are valid."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks import overhead, scaling, target
from benchmarks.synthetic import confirm, fill
from kdsearch import load_results
from kdsearch.study.confirm import selected_trials
from kdsearch.study.proposal.lane import lanes_of
from kdsearch.study.storage.ledger import Ledger


@pytest.mark.slow
def test_a_filled_study_is_a_study(folder: Path) -> None:
    config = scaling.study(9, widths=(4, 8))
    ledger = Ledger.create(config, command="test")
    lanes = lanes_of(config, config.strata())
    cost = fill(config, ledger, lanes, until=36)
    confirm(config, ledger, selected_trials(config, ledger.records()))
    results = load_results(config)
    states = Counter(trial.state for trial in results.trials if trial.stage == "search")
    assert states == {"COMPLETE": 4, "PRUNED": 32}
    assert {trial.width for trial in results.trials} == {4, 8}
    confirmed = [trial for trial in results.trials if trial.stage == "confirm"]
    assert all(trial.test is not None and trial.test_correct for trial in confirmed)
    assert cost.add_ms > 0
    assert not (folder / "mlflow.db").exists()


def test_studies_are_valid() -> None:
    size = target.Size(8, 3, 0.1, 5, 2, 4)
    assert overhead.study(4, 3, "halving", "none").budget.trials == 4
    assert target.study(size, seed=1, pruner={"kind": "none"}, trials=4).seed == 1
    assert overhead.default_study().exists()
