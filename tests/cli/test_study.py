"""Commands that look at a study which the command line has run."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import kdsearch
from kdsearch.analysis.table import COLUMNS
from kdsearch.cli.tables import print_best, print_studies, students_in_words
from kdsearch.study.storage.listing import Standing, list_studies
from kdsearch.study.storage.lock import hold_study
from kdsearch.study.storage.paths import StudyPaths
from kdsearch.study.storage.watching import looks_at
from tests.cli.conftest import STUDY, Command, Ran

pytestmark = pytest.mark.slow

ESCAPE = "\x1b"
EXPORT = [
    "study", "stage", "arm", "trial", "replicate", "state", "temperature", "alpha", "width",
    "ensemble_size", "learning_rate", "seed", "num_params", "macs", "size_bytes", "epochs",
    "train_seconds", "val_accuracy", "val_loss", "val_agreement", "test_accuracy", "test_loss",
    "test_agreement", "mlflow_run_id",
]  # fmt: skip
STUDENTS = 2 * 2 * (6 + 2)


def test_running_without_a_terminal_prints_plain_lines(ran: Ran) -> None:
    assert ESCAPE not in ran.out
    lines = ran.out.splitlines()
    assert lines[0].startswith(f"study {STUDY}: ")
    assert any(line.startswith("search: 0 of 24 done") for line in lines)
    assert any(line.startswith("confirm: 0 of 8 done") for line in lines)
    assert f"{STUDENTS} students trained in this run." in lines
    assert lines[1] == f"charts: kdsearch ui {STUDY}"
    report, charts, model = lines[-3:]
    assert Path(report.removeprefix("report: ")).exists()
    assert charts == f"charts: kdsearch ui {STUDY}"
    assert model == "model:  none was logged"  # as `tracking.models` asked


HOLD = """
import sys, time
from pathlib import Path
from kdsearch.study.storage.lock import hold_study
from kdsearch.study.storage.paths import StudyPaths
with hold_study(StudyPaths(Path.cwd(), sys.argv[1])):
    print("held", flush=True)
    time.sleep(4)
"""


def test_a_report_follows_a_study_that_runs(
    ran: Ran, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    html = ran.folder / "reports" / STUDY / "report.html"
    monkeypatch.setattr("time.sleep", lambda _: (seen.append(html.read_text()), other.wait()))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, STUDY], stdout=subprocess.PIPE, text=True, cwd=ran.folder
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        answer = command("report", STUDY, "--watch")
    assert answer.code == 0
    assert seen
    assert 'http-equiv="refresh"' in seen[0]
    assert 'http-equiv="refresh"' not in html.read_text()
    assert command("report", STUDY, "another", "--watch").code == 2


def test_several_studies_give_one_page(ran: Ran, command: Command) -> None:
    answer = command("report", STUDY, STUDY)
    assert answer.code == 0
    unknown = command("report", STUDY, "nobody")
    assert unknown.code == 2
    assert "nobody" in unknown.err


def test_running_again_trains_nobody(ran: Ran, command: Command) -> None:
    answer = command("study", "run", "study.yaml", "--workers", "0")
    assert answer.code == 0
    assert "\n0 students trained in this run." in answer.out


def test_list_and_status_keep_one_line_a_row(ran: Ran, command: Command) -> None:
    listed = command("study", "list")
    row = next(line for line in listed.out.splitlines() if STUDY in line)
    assert row.split()[:3] == [STUDY, "finished", str(STUDENTS)]
    assert f"reports/{STUDY}" in row.split()
    status = command("study", "status", STUDY)
    head, *rows = [line.split() for line in status.out.splitlines()[:3]]
    assert head == ["width", "distilled", "best", "hard", "labels", "best", "confirmed"]
    assert [row[0] for row in rows] == ["4", "8"]
    for row in rows:
        assert (row[1], row[3], row[5]) == ("6/6", "6/6", "4/4")
    assert "best so far" in status.out
    assert "validation accuracy" in status.out
    for answer in (listed, status):
        assert (answer.code, answer.err) == (0, "")
        assert ESCAPE not in answer.out


def test_following_a_study_that_nobody_runs_prints_it_once(ran: Ran, command: Command) -> None:
    status = command("study", "status", STUDY).out
    followed = command("study", "status", STUDY, "--follow")
    assert followed.out == f"{status}\nnobody runs {STUDY} now\n"


def test_following_ends_when_the_study_does(ran: Ran) -> None:
    storage = f"sqlite:///{ran.folder}/kdsearch.db"
    looks = looks_at(STUDY, storage=storage, root=ran.folder, derived=False, seconds=0.01)
    paths, database = StudyPaths(ran.folder, STUDY), ran.folder / "kdsearch.db"
    with hold_study(paths, database):
        first = next(looks)
        (listed,) = list_studies(storage, root=ran.folder)
        assert (listed.state, listed.ended, listed.expected) == ("running", STUDENTS, STUDENTS)
        assert students_in_words(listed) == f"{STUDENTS} of {STUDENTS}"
    assert (first.is_new, first.is_running) == (True, True)
    (last,) = looks
    assert (last.is_new, last.is_running) == (False, False)


def test_best_fits_80_columns_and_breaks_no_word(ran: Ran, command: Command) -> None:
    answer = command("study", "best", STUDY)
    assert (answer.code, answer.err) == (0, "")
    head, *rows, note = answer.out.splitlines()
    assert head.split()[:3] == ["width", "arm", "trial"]
    assert "learning rate" in head
    assert [row.split()[0] for row in rows] == ["4", "4", "8", "8"]
    assert note == "Test accuracy: mean ± standard error of n students on fresh seeds."
    words = set(answer.out.replace("settings", "").split()) | {"settings"}
    names = ["temperature", "alpha", "learning", "rate", "ensemble", "size", "weight", "decay"]
    results = kdsearch.load_results(STUDY)
    for width in (60, 80, 100):  # in one column, or in a column each
        out = io.StringIO()
        print_best(results, Console(file=out, width=width, force_terminal=True, color_system=None))
        lines = [line.rstrip() for line in out.getvalue().splitlines()]
        assert max(map(len, lines)) <= width
        for word in " ".join(lines).replace(",", " ").split():
            assert word in words or word in names, f"{word} is a piece of one"


def test_export_has_the_columns_of_the_contract_in_every_format(
    ran: Ran, command: Command
) -> None:
    columns = [*EXPORT, "training.weight_decay"]
    assert list(COLUMNS) == EXPORT
    answer = command("study", "export", STUDY)
    rows = list(csv.reader(io.StringIO(answer.out)))
    assert rows[0] == columns
    assert len(rows) == 1 + STUDENTS
    records = json.loads(command("study", "export", STUDY, "--format", "json").out)
    assert [list(record) for record in records] == [columns] * STUDENTS
    assert {r["state"] for r in records} <= {"COMPLETE", "PRUNED", "FAIL"}
    for record in records:
        assert (record["test_accuracy"] is not None) == (record["stage"] == "confirm")
        assert (record["temperature"] is None) == (record["arm"] == "baseline")
    out = ran.folder / "tables" / "all.parquet"
    written = command("study", "export", STUDY, "--format", "parquet", "--out", str(out))
    assert written == (0, "", "")
    table = pd.read_parquet(out)
    assert list(table.columns) == columns
    assert table["val_accuracy"].tolist() == [r["val_accuracy"] for r in records]
    trials = kdsearch.load_results(STUDY).trials
    assert table["seed"].tolist() == [t.seed for t in trials]
    (ran.folder / "a-file").write_text("")
    refused = command("study", "export", STUDY, "--out", "a-file/table.csv")
    assert refused.code == 2
    assert refused.err.startswith("a-file/table.csv cannot be written: ")


def test_an_unknown_name_is_told_where_to_look(ran: Ran, command: Command) -> None:
    for arguments in (("study", "status"), ("study", "best"), ("study", "export"), ("report",)):
        answer = command(*arguments, "nobody")
        assert answer.code == 2
        assert answer.err == f"no study is called nobody; there is {STUDY}\n"


def test_predict_needs_a_curve(ran: Ran, command: Command) -> None:
    answer = command("study", "predict", STUDY, "--params", "1000")
    assert answer.code == 2
    assert answer.err.endswith(
        "no curve to predict from: 2 confirmed sizes are too few for a curve.\n"
    )


def test_report_writes_the_folder_again(ran: Ran, command: Command) -> None:
    page = ran.folder / "reports" / STUDY / "report.html"
    page.unlink()
    answer = command("report", STUDY)
    assert answer.code == 0
    assert page.exists()
    assert answer.out.splitlines()[-1] == f"Report: {page}"


def test_plan_and_teachers(ran: Ran, command: Command) -> None:
    plan = command("study", "plan", "study.yaml", "--set", "budget.trials=8")
    assert plan.code == 0
    assert "32: 8 a width and arm (distilled and baseline); 24 done" in plan.out
    trained = command("teacher", "train", "study.yaml")
    assert trained.code == 0
    assert "member 2: mlp width 32 depth 1" in trained.out
    assert "ensemble of 2" in trained.out
    listed = command("teacher", "list")
    assert listed.code == 0
    assert "teachers in " in listed.out
    assert "mlp width 32 depth 1" in listed.out


def test_a_changed_study_is_refused(ran: Ran, command: Command) -> None:
    answer = command("study", "run", "study.yaml", "--set", "search.alpha.high=0.5")
    assert answer.code == 2
    assert "search.alpha.high: 1.0 -> 0.5" in answer.err


def test_list_fits_80_columns() -> None:
    out = io.StringIO()
    listed = Standing(
        name="temp-alpha", question="", state="running", ended=24, expected=408,
        last_change=datetime(2026, 11, 30, 18, 48), report=Path.cwd() / "reports/temp-alpha/a",
    )  # fmt: skip
    begun = replace(listed, name="fashion-capacity", state="stopped", report=None)
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    print_studies([listed, begun], console)
    assert [line.split() for line in out.getvalue().splitlines()[1:]] == [
        ["temp-alpha", "running", "24", "of", "408", "2026-11-30", "18:48", "reports/temp-alpha"],
        ["fashion-capacity", "stopped", "24", "of", "408", "2026-11-30", "18:48", "none", "here"],
    ]
