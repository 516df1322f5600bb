"""A ladder of sizes: it climbs until it is saturated, looks closer there, and resumes exactly."""

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

import kdsearch
from kdsearch.cli.tables import print_status
from kdsearch.config import Scalar, StudyConfig
from kdsearch.results import Results, TrialRecord, sizes_tried, strata_of
from kdsearch.study.ladder import (
    Climb,
    Point,
    climb,
    params_at,
    size_at,
    sizes_around,
    strata_to_run,
)
from kdsearch.study.proposal.lane import Lane, Proposal, lanes_of, new_record
from kdsearch.study.storage.outcome import load_results
from kdsearch.testing.small_study import small_study
from tests.conftest import SMALL_STUDY, WriteStudy
from tests.study.records import evaluation
from tests.study.test_methods import interrupted
from tests.study.test_run import essence

pytestmark = pytest.mark.slow

SEARCH = {name: p for name, p in SMALL_STUDY["search"].items() if name != "width"}
PER_UNIT = 75
"""Parameters for each unit of width: 64 values in, 10 classes out, a bias."""

Curve = Callable[[int], float]


def ladder_config(**ladder: object) -> StudyConfig:
    return small_study(
        search=SEARCH,
        study={"tolerance": 0.01, "ladder": {"start": 2, "max": 512} | ladder},
        budget={"trials": 1},
        confirm={"replicates": 3, "baseline": True},
    )


def saturating(size: int) -> float:
    return 0.95 - 0.5 / size


def rising(size: int) -> float:
    return 0.4 + 0.05 * math.log2(size)


def students(config: StudyConfig, size: int, curve: Curve) -> list[TrialRecord]:
    """Search and confirm records of a size, in both arms."""
    found: list[TrialRecord] = []
    for lane in lanes_of(config, [{"width": size}]):
        search = record_of(config, lane, size, curve(size) + 0.01)
        noise = (-0.001, 0.0, 0.001)
        shift = 0.0 if lane.arm == "distilled" else -0.02
        found.append(search)
        found += [
            search.model_copy(
                update={
                    "stage": "confirm",
                    "replicate": replicate,
                    "val": evaluation(curve(size) + shift + noise[replicate - 1]),
                    "test": evaluation(0.0),  # would say something else, if it were looked at
                }
            )
            for replicate in (1, 2, 3)
        ]
    return found


def record_of(config: StudyConfig, lane: Lane, size: int, accuracy: float) -> TrialRecord:
    tuned: dict[str, Scalar] = {"learning_rate": 0.01}
    if lane.arm == "distilled":
        tuned |= {"temperature": 2.0, "alpha": 0.5, "ensemble_size": 1}
    record = new_record(config, lane, Proposal(tuned), trial=size)
    return record.model_copy(
        update={
            "state": "COMPLETE",
            "val": evaluation(accuracy),
            "epochs": 9,
            "num_params": PER_UNIT * size,
        }
    )


def climbed(config: StudyConfig, curve: Curve) -> tuple[list[tuple[int, ...]], list[TrialRecord]]:
    """What the ladder asks for, step after step, and everything trained on the way."""
    asked: list[tuple[int, ...]] = []
    records: list[TrialRecord] = []
    while True:
        sizes = tuple(int(s["width"]) for s in strata_to_run(config, records))
        if asked and sizes == asked[-1]:
            return asked, records
        asked.append(sizes)
        new = [size for size in sizes if size not in {r.width for r in records}]
        for size in new:
            records += students(config, size, curve)


def state(config: StudyConfig, records: list[TrialRecord]) -> Climb:
    assert config.study.ladder is not None
    return climb(config, config.study.ladder, records)


def test_it_climbs_until_saturated_and_then_looks_closer() -> None:
    config = ladder_config()
    asked, records = climbed(config, saturating)
    assert asked[0] == (2, 4, 8, 16, 32), "as many as a verdict takes"
    assert asked[1] == (*asked[0], 64), (
        "one more, because 32 may gain more than the tolerance over 16"
    )
    assert asked[2:] == [(2, 4, 8, 16, 23, 32, 45, 64)], "and it stops before 512"
    end = state(config, records)
    assert end.state == "saturated"
    assert end.saturation is not None
    # Within the range tried: 0.5 / size - 0.5 / 64 = 0.01
    assert end.saturation == pytest.approx(28.1, rel=0.05)
    assert strata_of(config, records) == tuple({"width": size} for size in asked[-1])
    assert set(sizes_tried(config, records)) == set(asked[-1])


def slow(size: int) -> float:
    """0.4 points a doubling, for ever: less than the tolerance each time."""
    return 0.7 + 0.004 * math.log2(size)


def plateau(size: int) -> float:
    return 0.9 - 0.05 * max(0.0, math.log2(8 / size))


def test_a_curve_that_is_saturated_so_far_but_will_gain_more_is_climbed_further() -> None:
    config = ladder_config()
    asked, records = climbed(config, slow)
    first = [r for r in records if int(r.stratum["width"]) <= 32]
    so_far = state(ladder_config(max=32), first)
    assert so_far.fit is not None
    assert so_far.fit.verdict == "saturated", "among the first five sizes, where it would stop"
    assert so_far.state == "refining"
    # From 32 on, 1.6 points are left to 512, and from 64 on 1.2; from 128 on, 0.8.
    assert asked[:3] == [
        (2, 4, 8, 16, 32), (2, 4, 8, 16, 32, 64), (2, 4, 8, 16, 32, 64, 128),
    ]  # fmt: skip
    assert len(asked) == 4, "and there it stops"
    end = state(config, records)
    assert end.state == "saturated"
    assert end.fit is not None
    assert end.fit.forecast(75 * 512, level=0.8) <= config.study.tolerance
    before = state(config, [r for r in records if int(r.stratum["width"]) in asked[1]])
    assert before.state == "climbing"
    assert before.fit is not None
    assert before.fit.forecast(75 * 512, level=0.8) > config.study.tolerance


def test_the_end_of_the_ladder_decides_how_much_is_left_to_gain() -> None:
    heights = [max(climbed(ladder_config(max=top), slow)[0][-1]) for top in (64, 512)]
    assert heights == [32, 128]


@pytest.mark.parametrize(("top", "highest"), [(64, 32), (512, 32), (65_536, 64)])
def test_a_plateau_stops_early_however_far_the_ladder_goes(top: int, highest: int) -> None:
    asked, records = climbed(ladder_config(max=top), plateau)
    assert asked[0] == (2, 4, 8, 16, 32)
    assert max(asked[-1]) == highest
    assert {6, 11} < set(asked[-1]), "it looks closer around 8"
    end = state(ladder_config(max=top), records)
    assert end.state == "saturated"
    assert end.saturation == pytest.approx(8 * 2**-0.2, rel=0.1)


def test_a_ladder_that_saturates_at_its_last_size_ends_there() -> None:
    asked, records = climbed(ladder_config(start=3, max=48), plateau)
    assert max(asked[-1]) == 48
    assert state(ladder_config(start=3, max=48), records).state == "saturated"


@pytest.mark.parametrize(
    ("size", "params"), [(32, 3200.0), (64, 6400.0), (128, 12_800.0), (4, 3200.0)]
)
def test_parameters_of_a_larger_size_follow_the_slope_of_the_last_two(
    size: int, params: float
) -> None:
    points = [Point(200, (0.5,)), Point(1600, (0.6,)), Point(3200, (0.7,))]
    assert params_at([4, 16, 32], points, size) == pytest.approx(params)


def test_a_curve_that_rises_to_the_end_is_climbed_to_the_end() -> None:
    asked, records = climbed(ladder_config(max=64), rising)
    assert asked == [(2, 4, 8, 16, 32), (2, 4, 8, 16, 32, 64)]
    assert state(ladder_config(max=64), records).state == "at_max"
    higher = strata_to_run(ladder_config(max=256), records)
    assert higher[-1] == {"width": 128}, "a raised max goes on, one size at a time"
    lower = strata_to_run(ladder_config(max=32), records)
    assert lower[-1] == {"width": 64}, "what was tried stays"


def test_a_step_waits_for_every_lane_and_replicate() -> None:
    config = ladder_config(max=64)
    records = [r for size in (2, 4, 8, 16, 32) for r in students(config, size, rising)]
    for missing in (records[-1], records[0]):
        some = [r for r in records if r is not missing]
        assert state(config, some).sizes == (2, 4, 8, 16, 32)
    running = records[-1].model_copy(update={"state": "RUNNING", "val": None})
    assert state(config, [*records[:-1], running]).sizes == (2, 4, 8, 16, 32)
    failed = records[-1].model_copy(update={"state": "FAIL", "val": None})
    assert state(config, [*records[:-1], failed]).sizes == (2, 4, 8, 16, 32, 64)


def test_a_size_that_failed_altogether_does_not_stop_the_climb() -> None:
    config = ladder_config(max=128)
    records = [r for size in (2, 4, 8, 16, 32) for r in students(config, size, rising)]
    failed = [
        r.model_copy(update={"state": "FAIL", "val": None}) if r.width == 8 else r
        for r in records
        if r.width != 8 or r.stage == "search"
    ]
    assert state(config, failed).sizes == (2, 4, 8, 16, 32, 64)


def test_a_raised_budget_asks_for_every_size_that_was_tried() -> None:
    asked, records = climbed(ladder_config(), saturating)
    raised = ladder_config().model_copy(
        update={"budget": ladder_config().budget.model_copy(update={"trials": 2})}
    )
    assert tuple(s["width"] for s in strata_to_run(raised, records)) == asked[-1]


@pytest.mark.parametrize(
    ("tried", "saturation", "expected"),
    [
        ((4, 8, 16, 32, 64), 40.0, (23, 45)),
        ((4, 8, 16, 32, 64), 60.0, (23, 45)),
        ((4, 8, 16, 32, 64), 17.0, (11, 23)),
        ((1, 2, 3, 4, 8), 2.0, (6,)),
        ((1, 2, 3, 4, 5), 2.0, ()),
    ],
)
def test_the_closer_look(
    tried: tuple[int, ...], saturation: float, expected: tuple[int, ...]
) -> None:
    assert sizes_around(tried, saturation) == expected


def test_a_number_of_parameters_is_a_size() -> None:
    points = [Point(100, (0.5,)), Point(400, (0.6,))]
    assert size_at([4, 16], points, 200.0) == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("sizes", "curve", "words"),
    [
        ((), rising, "ladder: width not begun; not saturated yet, next 2, 4, 8, 16, 32"),
        ((32, 2, 4, 8, 16), rising, "width 2, 4, 8, 16, 32; not saturated yet, next 64"),
        (
            (2, 4, 8, 16, 32, 64),
            saturating,
            "width 2, 4, 8, 16, 32, 64; saturates near 28.1, looking closer: next 23, 45",
        ),
        ((2, 4, 8, 16, 32, 64, 23, 45), saturating, "near 28.1, by validation accuracy"),
        ((2, 4, 8, 16, 32, 64), rising, "64; not saturated at its end, 64"),
    ],
)
def test_status_says_how_far_it_is(
    sizes: tuple[int, ...], curve: Curve, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ladder_config(max=64)
    records = tuple(r for size in sizes for r in students(config, size, curve))
    print_status(Results(config=config, trials=records, banks=()))
    assert words in capsys.readouterr().out


def ladder_study(write_study: WriteStudy, name: str) -> Path:
    return write_study(
        name=name,
        search=SEARCH,
        study={"tolerance": 0.05, "ladder": {"start": 1, "factor": 3, "max": 243}},
        training={"epochs": 3, "batch_size": 128},
        budget={"trials": 2, "generation": 2},
    )


def test_a_ladder_end_to_end_spends_equal_budgets_and_resumes_to_the_same_numbers(
    write_study: WriteStudy,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = ladder_study(write_study, "climb")
    config = kdsearch.load_study(path)
    whole = kdsearch.run_study(config, workers=0).results
    sizes = sizes_tried(config, whole.trials)
    assert sizes[:6] == (1, 3, 9, 27, 81, 243)
    for arm in ("distilled", "baseline"):
        for size in sizes:
            mine = [t for t in whole.select(arm=arm) if t.width == size]
            assert [t.stage for t in mine].count("search") == 2
            assert sorted(t.replicate for t in mine if t.stage == "confirm") == [1, 2]
    again = kdsearch.run_study(config, workers=0)
    assert again.new_trials == 0
    monkeypatch.chdir(tmp_path_factory.mktemp("interrupted"))
    pieces = interrupted(config, every=83)
    assert [essence(t) for t in pieces.trials] == [essence(t) for t in whole.trials]
    assert load_results(config).trials == pieces.trials


def test_a_ladder_that_saturates_looks_closer_in_a_real_study(write_study: WriteStudy) -> None:
    path = write_study(
        name="closer",
        search=SEARCH,
        study={"tolerance": 0.2, "ladder": {"start": 12, "factor": 2, "max": 384}},
        training={"epochs": 6, "batch_size": 128},
        budget={"trials": 2, "generation": 2},
    )
    config = kdsearch.load_study(path)
    results = kdsearch.run_study(config, workers=0).results
    ladder = config.study.ladder
    assert ladder is not None
    between = set(sizes_tried(config, results.trials)) - set(ladder.sizes())
    assert between, "it did not look closer, so this shows nothing"
    closer = [t for t in results.trials if t.width in between]
    assert {t.state for t in closer} == {"COMPLETE"}
    assert {t.stage for t in closer} == {"search", "confirm"}
    study = optuna.load_study(study_name="closer", storage=config.storage)
    assert between <= {t.params["width"] for t in study.trials}
