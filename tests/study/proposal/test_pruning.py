"""Rungs and survivors, worked by hand."""

import pytest

from kdsearch.config import PrunerConfig
from kdsearch.study.proposal.pruning import is_exempt, rung_epochs, survivors

HALVING = PrunerConfig(kind="halving", reduction_factor=3)


@pytest.mark.parametrize(
    ("pruner", "epochs", "rungs"),
    [
        (PrunerConfig(kind="none"), 100, ()),
        (HALVING, 9, (3,)),
        (HALVING, 40, (13,)),
        (HALVING, 1, ()),
        (HALVING, 2, ()),
        (HALVING, 3, (1,)),
        (PrunerConfig(kind="halving", reduction_factor=3, min_epochs=1), 9, (1, 3)),
        (PrunerConfig(kind="hyperband", reduction_factor=3), 9, (1, 3)),
        (PrunerConfig(kind="hyperband", reduction_factor=3), 40, (4, 12)),
        (PrunerConfig(kind="halving", reduction_factor=2, min_epochs=5), 40, (5, 10, 20)),
        (PrunerConfig(kind="median", reduction_factor=4), 64, (16,)),
        (PrunerConfig(kind="halving", min_epochs=9), 9, ()),
    ],
)
def test_rungs_lie_below_the_last_epoch(
    pruner: PrunerConfig, epochs: int, rungs: tuple[int, ...]
) -> None:
    assert rung_epochs(pruner, epochs) == rungs


@pytest.mark.parametrize(
    ("share", "exempt"),
    [
        (0.0, []),
        (0.25, [0, 3, 7, 11]),
        (0.5, [0, 1, 3, 5, 7, 9, 11]),
        (0.1, [0, 9]),
        (0.01, [0]),
        (1.0, list(range(12))),
    ],
)
def test_an_even_share_of_a_lane_is_exempt_from_its_first_trial_on(
    share: float, exempt: list[int]
) -> None:
    pruner = PrunerConfig(kind="halving", exempt=share)
    assert [index for index in range(12) if is_exempt(pruner, index)] == exempt
    many = sum(is_exempt(pruner, index) for index in range(1000))
    assert many - 1000 * share in (0.0, 1.0), "the first may be one more"


def keep(
    pruner: PrunerConfig,
    scores: list[float],
    earlier: dict[int, float] | None = None,
    *,
    rung: int = 0,
    first: int = 0,
) -> set[int]:
    live = {first + index: score for index, score in enumerate(scores)}
    return set(survivors(pruner, rung=rung, rungs=(1, 3), scores=live, earlier=earlier or {}))


def test_none_keeps_all() -> None:
    assert keep(PrunerConfig(kind="none"), [0.1, 0.2]) == {0, 1}


def test_halving_keeps_the_best_third_rounded_up() -> None:
    assert keep(HALVING, [0.1, 0.5, 0.3, 0.2, 0.6, 0.4]) == {1, 4}
    assert keep(HALVING, [0.1, 0.5, 0.3, 0.2, 0.6, 0.4, 0.7]) == {1, 4, 6}
    assert keep(HALVING, [0.1]) == {0}


def test_halving_keeps_ties_with_the_last_one_in() -> None:
    assert keep(HALVING, [0.5, 0.5, 0.5, 0.1, 0.1, 0.1]) == {0, 1, 2}


def test_halving_ranks_together_with_earlier_generations() -> None:
    # 6 have reached the rung, 2 go on: those above 0.6, which only one of the live three is.
    assert keep(HALVING, [0.1, 0.9, 0.5], {0: 0.7, 1: 0.6, 2: 0.2}, first=3) == {4}
    assert keep(HALVING, [0.1, 0.3, 0.5], {0: 0.7, 1: 0.8, 2: 0.2}, first=3) == set()


def test_median_keeps_the_upper_half_once_four_have_reached_the_rung() -> None:
    median = PrunerConfig(kind="median")
    assert keep(median, [0.1, 0.2, 0.3]) == {0, 1, 2}
    assert keep(median, [0.1, 0.2, 0.3, 0.4]) == {2, 3}  # the median is 0.25
    assert keep(median, [0.1, 0.2, 0.3], {0: 0.9}, first=1) == {3}  # again 0.25
    assert keep(median, [0.4, 0.4, 0.4, 0.1]) == {0, 1, 2}  # equal to the median goes on


def test_hyperband_compares_bracket_b_from_rung_b_on() -> None:
    hyperband = PrunerConfig(kind="hyperband", reduction_factor=3)
    scores = [0.9, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3]
    # Two rungs make three brackets, by index modulo 3. Bracket 0 is 0, 3, 6: the best is 0.
    assert keep(hyperband, scores) == {0, 1, 4, 7, 2, 5, 8}
    # At the second rung bracket 1 (1, 4, 7: the best is 4) is compared, too; bracket 2 never.
    assert keep(hyperband, scores, rung=1) == {0, 4, 2, 5, 8}
    # Earlier trials count in their own bracket only.
    assert keep(hyperband, [0.5, 0.5, 0.5], {0: 0.6, 1: 0.6, 2: 0.6}, first=3) == {4, 5}
