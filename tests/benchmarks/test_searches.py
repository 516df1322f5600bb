"""The table of brute force is whole, and replays look up what they say."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import safe_region, samplers, search_regret
from benchmarks.simulated import simulate, trained
from benchmarks.truth import SEEDS, SETTINGS, TUNED, WIDTHS, Table, design, the_study
from kdsearch.study.proposal.lane import Proposal, lanes_of, new_record


@pytest.fixture(scope="module")
def table() -> Table:
    return Table.load()


def test_the_table_has_every_setting_on_every_seed(table: Table) -> None:
    assert SETTINGS >= 300
    assert SEEDS >= 3
    for width in WIDTHS:
        for is_baseline in (False, True):
            own = (table.width == width) & (table.is_baseline == is_baseline)
            pairs = set(zip(table.setting[own].tolist(), table.seed[own].tolist(), strict=True))
            assert len(pairs) == own.sum() == SETTINGS * SEEDS
            trained_well = np.isfinite(table.test_accuracy[own])
            assert trained_well.mean() > 0.95  # the highest rates diverge now and then
            assert 0.3 < np.nanmax(table.test_accuracy[own]) < 1
    assert table.val_accuracy.shape[1] == the_study().training.epochs


def test_the_table_is_of_the_shipped_study(table: Table) -> None:
    """A changed search space needs a new table."""
    config = the_study()
    for arm, is_baseline in (("distilled", False), ("baseline", True)):
        first = (table.width == WIDTHS[0]) & (table.is_baseline == is_baseline) & (table.seed == 0)
        for values, row in zip(design(config, arm, SETTINGS), table.settings[first], strict=True):
            for name, value in zip(TUNED, row, strict=True):
                if name in values:
                    assert float(values[name]) == pytest.approx(float(value), rel=1e-5)


def test_a_setting_of_the_table_is_its_own_nearest() -> None:
    cell = samplers.cells()["distilled", 64]
    for place in (0, 17, 300):
        settings = dict(zip(TUNED, map(float, cell.values[place]), strict=True))
        assert cell.nearest(settings) == place
    assert samplers.regret("distilled", 64, int(cell.smooth.argmax())) == 0


@pytest.mark.slow
def test_a_simulated_search_spends_its_budget_and_prunes_like_the_study() -> None:
    config = samplers.study(12, 3, "pruner.kind=halving", "pruner.min_correlation=0.3")
    rng = np.random.default_rng(0)
    records = simulate(config, lambda record: samplers.looked_up(record, rng))
    for lane in lanes_of(config, config.strata()):
        own = lane.of(records)
        assert len(own) == 12
        assert own[0].state == "COMPLETE"
    states = {r.state for r in records}
    assert states == {"COMPLETE", "PRUNED"}
    assert {len(r.history) for r in records if r.state == "PRUNED"} == {13}


@pytest.mark.slow
def test_what_a_pruner_saves_pays_for_more_trials_and_no_more_than_that() -> None:
    halving = ("pruner.kind=halving", "pruner.min_correlation=0.3")
    config, records = samplers.spent(16, 3, *halving)
    lanes = lanes_of(config, config.strata())
    assert config.budget.trials > 16
    assert len(records) == config.budget.trials * len(lanes)
    assert sum(r.epochs for r in records) <= 16 * config.training.epochs * len(lanes)
    whole, _ = samplers.spent(16, 3)
    assert whole.budget.trials == 16


def test_searches_are_read_as_they_were_kept(tmp_path: Path) -> None:
    first = samplers.one("random", 0, tmp_path)
    (file,) = tmp_path.iterdir()
    assert samplers.one("random", 0, tmp_path) == first
    file.write_text(file.read_text().replace("16 distilled 16", "99 distilled 16"))
    assert (99, "distilled", 16) in samplers.one("random", 0, tmp_path)


def test_known_shapes_have_their_best_where_they_say() -> None:
    line = np.linspace(0, 1, 101)
    t, alpha = np.meshgrid(line, line, indexing="ij")
    for width in (0.0, 1.0):
        best = np.unravel_index(int(safe_region.peaked(t, alpha, width).argmax()), t.shape)
        assert line[best[0]] == pytest.approx(0.35 + 0.3 * width, abs=0.01)
        assert line[best[1]] == pytest.approx(0.35, abs=0.01)
    assert np.all(safe_region.ridge(t, np.ones_like(t), 0.5) == 0)


def test_judges_are_seeds_that_nothing_else_has_seen() -> None:
    judges = search_regret.judges("distilled", 64, {"alpha": 0.5, "temperature": 2.0})
    seeds = [student.seed for student in judges]
    assert len(set(seeds)) == len(seeds) == search_regret.FRESH[64]
    assert min(seeds) >= search_regret.FIRST_FRESH > SEEDS
    other = search_regret.judges("distilled", 64, {"alpha": 0.6, "temperature": 2.0})
    assert other[0].setting != judges[0].setting


def test_a_made_up_trial_counts_as_trained() -> None:
    config = samplers.study(12, 0)
    lane = lanes_of(config, config.strata())[0]
    settings = {"temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01, "ensemble_size": 2}
    record = trained(new_record(config, lane, Proposal(settings), trial=0), 0.5, 0.7, 0.6)
    assert (record.state, record.epochs) == ("COMPLETE", 3)
    assert record.val is not None
    assert record.val.accuracy == 0.7
