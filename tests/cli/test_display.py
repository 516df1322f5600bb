"""What the display counts, fed by hand."""

import io
from pathlib import Path

from rich.console import Console

from kdsearch.analysis import Report
from kdsearch.cli.display import Display
from kdsearch.cli.pace import Pace
from kdsearch.results import (
    EnsembleRecord,
    EpochMetrics,
    Results,
    TeacherBankRecord,
    TeacherRecord,
)
from kdsearch.study.run import StudyResult
from kdsearch.testing.small_study import small_study
from tests.study.records import evaluation, make_record

CONFIG = small_study()
EPOCHS = CONFIG.teacher.training.epochs


def make_display(*, width: int = 100, terminal: bool = False) -> tuple[Display, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None)
    return Display(CONFIG, console), out


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(
        epoch=number, train_loss=1.0, val_accuracy=0.5, val_loss=1.0, val_agreement=0.5,
        learning_rate=0.1,
    )  # fmt: skip


def bank(key: str) -> TeacherBankRecord:
    members = tuple(
        TeacherRecord(
            member=member, key=f"{key}{member}", model="mlp", num_params=1, macs=1, size_bytes=4,
            epochs=EPOCHS, train_seconds=1.0, val=evaluation(0.9),
        )
        for member in (1, 2)
    )  # fmt: skip
    ensembles = tuple(EnsembleRecord(size=size, val=evaluation(0.9)) for size in (1, 2))
    return TeacherBankRecord(key=key, members=members, ensembles=ensembles)


def shown(display: Display) -> str:
    out = io.StringIO()
    Console(file=out, width=120).print(display._render())
    return out.getvalue()


def test_teachers_count_as_they_finish_and_leave_the_rows_in_training() -> None:
    display, out = make_display()
    display.stage("teachers", total=4, done=0)
    display.epoch("teacher/aaaa/1", epoch(EPOCHS - 1))
    display.epoch("teacher/aaaa/2", epoch(EPOCHS - 1))
    assert "2 in training" in shown(display)
    assert "0/4" in shown(display)
    display.epoch("teacher/aaaa/1", epoch(EPOCHS))
    assert "1 in training" in shown(display)
    assert "1/4" in shown(display)
    display.teacher(bank("a"))
    display.teacher(bank("b"))
    assert "in training" not in shown(display)
    assert "4/4" in shown(display)
    display.stage("teachers", total=2, done=0)  # another generation asks for another bank
    assert "4/6" in shown(display)
    display.epoch("teacher/cccc/1", epoch(EPOCHS))
    assert "5/6" in shown(display)
    display.stage("search", total=3, done=0)
    display.teacher(bank("a"))  # measured on the test set
    assert out.getvalue().count("teachers: 2 x mlp") == 2
    assert out.getvalue().count("of 4 done") == 1


def test_nothing_to_train_is_no_stage() -> None:
    display, out = make_display()
    display.stage("teachers", total=0, done=0)
    display.teacher(bank("a"))
    assert "0 of 0" not in out.getvalue()
    assert "teachers: 2 x mlp" in out.getvalue()


def test_a_resumed_study_shows_what_it_had() -> None:
    display, out = make_display()
    display.resumed(
        [
            make_record(CONFIG, 0, val=0.8),
            make_record(CONFIG, 1, state="PRUNED"),
            make_record(CONFIG, 2),
        ]
    )
    display.stage("search", total=6, done=2)
    row = next(line for line in shown(display).splitlines() if line.startswith("4 "))
    assert row.split() == ["4", "2/6", "80.0%", "0/6", "0/4"]
    assert "1 stopped early" in shown(display)
    display.stage("teachers", total=2, done=0)
    display.trial(make_record(CONFIG, 3, val=0.7))
    assert "3/6" in shown(display)
    assert "0/2" in shown(display)
    assert "search: 3 of 6, best validation accuracy 80.0%" in out.getvalue()


def test_a_percent_sign_stays_with_its_number() -> None:
    sentence = "Students reach 13.9 % at width 4 and 15.3 % at width 8, beside 30.9 % for all."
    report = Report(
        html=Path("report.html"),
        finding=(sentence,),
        details=(),
        recommendation="None.",
        metrics={},
    )
    results = Results(CONFIG, (), ())
    result = StudyResult(
        "small", results, report, None, new_trials=0, charts="kdsearch ui small", model=None
    )
    for width in range(20, 60):
        display, out = make_display(width=width, terminal=True)
        display.summary(result)
        lines = out.getvalue().splitlines()
        assert not any(line.startswith("%") for line in lines)
        assert " ".join(lines[: lines.index("None.")]) == sentence
        assert all(len(line) <= width for line in lines[: lines.index("None.")])
    display, out = make_display(width=40)
    display.summary(result)
    assert out.getvalue().splitlines()[0] == sentence


def test_the_report_is_told_of_when_it_is_written() -> None:
    display, out = make_display()
    display.stage("report", total=1, done=0)
    display.stage("report", total=1, done=1)
    assert out.getvalue().splitlines() == ["report: 0 of 1 done", "report: 1 of 1 done"]
    assert "1/1" in shown(display)


def test_rows_are_in_the_studys_order_and_arms_are_columns() -> None:
    display, _ = make_display()
    display.stage("search", total=24, done=0)
    for lane, val in ((3, 0.5), (1, 0.9), (2, 0.6), (0, 0.7)):
        display.trial(make_record(CONFIG, 0, lane=lane, val=val))
    lines = [line.rstrip() for line in shown(display).splitlines()]
    start = next(i for i, line in enumerate(lines) if line.startswith("width "))
    assert lines[start].split() == [
        "width",
        "distilled",
        "best",
        "hard",
        "labels",
        "best",
        "confirmed",
    ]
    assert [line.split() for line in lines[start + 1 :]] == [
        ["4", "1/6", "70.0%", "1/6", "60.0%", "0/4"],
        ["8", "1/6", "90.0%", "1/6", "50.0%", "0/4"],
    ]
    (best,) = [line for line in lines if line.startswith("best so far")]
    assert best.startswith("best so far: validation accuracy 90.0% with width 8, temperature 2")


def test_the_first_frame_says_what_goes_on_before_anything_does() -> None:
    display, out = make_display(width=80, terminal=True)
    display.start()
    first = out.getvalue()
    display.stop()
    assert f"study small: {CONFIG.question_text}"[:60] in first
    assert "loading PyTorch, Optuna and MLflow, 0:00:00 so far" in first


def test_one_time_is_left_for_the_whole_study() -> None:
    display, _ = make_display()
    display.stage("search", total=24, done=0)
    display.time_left(200)
    assert shown(display).count(" left") == 1
    assert "searching, 0:00:00 so far, about 3 minutes left" in shown(display)
    display.stage("confirm", total=8, done=0)
    assert "confirming, 0:00:00 so far, about 3 minutes left" in shown(display)
    display.stage("report", total=1, done=0)
    assert "left" not in shown(display)


def test_a_display_in_a_narrow_terminal_cuts_no_number() -> None:
    out = io.StringIO()
    display, _ = make_display()
    display.stage("search", total=24, done=0)
    display.trial(make_record(CONFIG, 0, val=0.7))
    Console(file=out, width=80, force_terminal=True, color_system=None).print(display._render())
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()


def test_the_pace_is_that_of_the_last_minute() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    assert pace.in_words() == ""
    for second in range(10):
        now[0] = float(second)
        for _ in range(16):
            pace.epoch()
    pace.student()
    now[0] = 10.0
    assert pace.in_words() == "6 students and 960 student-epochs a minute"
    now[0] = 200.0
    assert pace.in_words() == "", "nothing was trained for a minute"


def test_notes_break_between_words_and_keep_links_whole() -> None:
    link = "http://127.0.0.1:5000/#/experiments/12/runs?" + "view-of-a-study=1&" * 5
    display, out = make_display(width=40, terminal=True)
    display.note(f"charts of a study that has a long link: {link}")
    display.warn("a warning of several words that is longer than the line")
    lines = out.getvalue().splitlines()
    assert link in lines
    assert all(len(line) <= 40 for line in lines if line != link)
