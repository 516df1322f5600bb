"""Cohorts follow from the students alone; legs lead every student through its rungs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from kdsearch.config import StudyConfig
from kdsearch.execution import StudentSpec
from kdsearch.study.cohorts import form_cohorts
from kdsearch.study.course import Course, Leg
from kdsearch.testing.small_study import small_study


def rows_of(config: StudyConfig, widths: Sequence[int], *, orders: int = 1) -> list[StudentSpec]:
    settings = {"temperature": 2.0, "alpha": 0.5, "learning_rate": 0.01}
    return [
        StudentSpec(
            key=f"{order}/{index}",
            trial=config.trial_config(settings | {"width": width}),
            seed=index,
            order_seed=order,
        )
        for order in range(orders)
        for index, width in enumerate(widths)
    ]


def width_of(row: StudentSpec) -> int:
    return row.trial.student.width


def cost(rows: Sequence[StudentSpec]) -> int:
    return sum(width_of(row) for row in rows)


def test_one_lane_gives_two_cores_equal_work() -> None:
    cohorts = form_cohorts(rows_of(small_study(), [64] * 16), width_of)
    assert [len(cohort) for cohort in cohorts] == [8, 8]


def test_many_students_share_steps_by_sixteen_sorted_by_width_and_dear_ones_first() -> None:
    rows = rows_of(small_study(), [32, 8, 16, 4] * 12)
    cohorts = form_cohorts(rows, width_of)
    assert sorted(len(cohort) for cohort in cohorts) == [2, 14, 16, 16]
    assert cost(cohorts[0]) >= cost(rows) / 2
    assert [cost(c) for c in cohorts] == sorted((cost(c) for c in cohorts), reverse=True)
    for cohort in cohorts:
        assert [width_of(r) for r in cohort] == sorted(width_of(r) for r in cohort)
    assert {r.key for c in cohorts for r in c} == {r.key for r in rows}


def test_no_cohort_is_most_of_the_work_where_widths_differ_much() -> None:
    rows = rows_of(small_study(), [4, 8, 16, 32, 64, 128, 256, 512, 1024] * 2, orders=5)
    cohorts = form_cohorts(rows, width_of)
    assert max(cost(cohort) for cohort in cohorts) <= cost(rows) / 3
    assert len({r.key for c in cohorts for r in c}) == 90


def test_students_that_cannot_share_steps_are_not_mixed() -> None:
    config = small_study()
    other = small_study(training__batch_size=32)
    rows = [*rows_of(config, [8, 8]), *rows_of(other, [8, 8], orders=2)[2:]]
    for cohort in form_cohorts(rows, width_of):
        assert len({row.trial.training.batch_size for row in cohort}) == 1


def better_half(group: str, rung: int, scores: Mapping[str, float]) -> frozenset[str]:
    ranked = sorted(scores, key=lambda key: (-scores[key], key))
    return frozenset(ranked[: len(ranked) // 2])


def test_everybody_pauses_at_each_rung_and_survivors_form_cohorts_anew() -> None:
    rows = rows_of(small_study(), [8, 16, 8, 16, 8, 16])
    groups = {"a": rows[:4], "b": rows[4:]}
    course = Course("round", groups, rungs={"a": [2, 4], "b": []}, survive=better_half)
    told: list[list[Leg]] = []
    while legs := course.next_legs():
        told.append(legs)
        for leg in legs:
            for row in leg.specs:
                if leg.until is not None and not leg.pruned:
                    course.pause(row.key, float(row.seed))
    first, second, third = told
    ends = {row.key: leg.until for leg in first for row in leg.specs}
    assert ends == {r.key: 2 for r in groups["a"]} | {r.key: None for r in groups["b"]}
    assert {leg.until for leg in second if leg.pruned} == {2}
    assert {r.key for leg in second if leg.pruned for r in leg.specs} == {"0/0", "0/1"}
    assert {r.key for leg in second if not leg.pruned for r in leg.specs} == {"0/2", "0/3"}
    assert {r.key for leg in third if leg.pruned for r in leg.specs} == {"0/2"}
    assert [(leg.until, [r.key for r in leg.specs]) for leg in third if not leg.pruned] == [
        (None, ["0/3"])
    ]
    keys = {leg.key for legs in told for leg in legs}
    assert len(keys) == sum(len(legs) for legs in told)
    for earlier, later in pairwise(told):
        assert {o for leg in later for o in leg.origins} <= {leg.key for leg in earlier}
        assert all(leg.origins for leg in later)


def test_a_student_that_failed_on_the_way_is_asked_no_more() -> None:
    rows = rows_of(small_study(), [8, 8, 8])
    course = Course("r", {"a": rows}, rungs={"a": [1]}, survive=lambda _g, _r, s: frozenset(s))
    course.next_legs()
    course.pause("0/0", 0.5)
    course.pause("0/2", 0.5)
    (leg, *_) = second = course.next_legs()
    assert {r.key for leg in second for r in leg.specs} == {"0/0", "0/2"}
    assert leg.until is None
    assert course.next_legs() == []


def test_a_student_that_failed_between_two_rungs_is_not_compared_at_the_second() -> None:
    rows = rows_of(small_study(), [8, 8, 8])
    compared: list[set[str]] = []

    def survive(group: str, rung: int, scores: Mapping[str, float]) -> frozenset[str]:
        compared.append(set(scores))
        return frozenset(scores)

    course = Course("r", {"a": rows}, rungs={"a": [1, 2]}, survive=survive)
    course.next_legs()
    for key in ("0/0", "0/1", "0/2"):
        course.pause(key, 0.5)
    course.next_legs()
    for key in ("0/0", "0/2"):  # 0/1 has failed on the way
        course.pause(key, 0.6)
    last = course.next_legs()
    assert compared == [{"0/0", "0/1", "0/2"}, {"0/0", "0/2"}]
    assert {r.key for leg in last for r in leg.specs} == {"0/0", "0/2"}
