"""What a user can get wrong: one readable sentence, exit code 2, and nothing is written."""

from pathlib import Path

import pytest

from kdsearch.cli.main import main
from kdsearch.errors import StudyFileError
from kdsearch.study.planning import plan
from kdsearch.study.storage.lock import hold_study
from kdsearch.study.storage.paths import StudyPaths
from tests.cli.conftest import Command
from tests.conftest import WriteStudy


def listing(folder: Path) -> dict[str, bytes | None]:
    return {
        str(f.relative_to(folder)): f.read_bytes() if f.is_file() else None
        for f in folder.rglob("*")
    }


BROKEN = {
    "duplicate key": ("name: a\nname: b\n", "name"),
    "tabs": ("name: a\ndata:\n\tkind: digits\n", "tab"),
    "empty": ("", "empty"),
    "a list at the top": ("- name: a\n", "list"),
    "not yaml": ("name: [a\n", ""),
}
CHANGED = {
    "unknown key": ({"trainig": {"epochs": 3}}, "did you mean 'training'?"),
    "alpha 2": ({"search__alpha__high": 2.0}, "search.alpha.high"),
    "ensemble of 4 of 1": (
        {"teacher__members": 1, "search__ensemble_size__values": [1, 4]}, "search.ensemble_size"
    ),
    "width large": ({"student__width": "large"}, "student.width"),
    "log with low 0": ({"search__temperature__low": 0}, "search.temperature"),
    "low above high": ({"search__alpha": {"role": "nuisance", "low": 1.0, "high": 0.5}}, "low 1"),
    "no such kind": ({"data": {"kind": "digit"}}, "digits"),
}  # fmt: skip


@pytest.mark.parametrize("what", [*BROKEN, *CHANGED])
def test_a_broken_study_file(
    what: str, command: Command, write_study: WriteStudy, folder: Path
) -> None:
    if what in BROKEN:
        text, word = BROKEN[what]
        path = folder / "broken.yaml"
        path.write_text(text)
    else:
        changes, word = CHANGED[what]
        path = write_study(**changes)
    before = listing(folder)
    for verb in ("run", "plan"):
        answer = command("study", verb, path.name)
        assert answer.code == 2
        assert answer.out == ""
        lines = answer.err.splitlines()
        assert lines
        assert all(line.startswith(f"{path.name}:") for line in lines)
        assert word in answer.err
        assert "Traceback" not in answer.err
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("study", "run", "missing.yaml"), "missing.yaml"),
        (("study", "plan", "missing.yaml"), "missing.yaml"),
        (("teacher", "train", "missing.yaml"), "missing.yaml"),
        (("study", "status", "nobody"), "kdsearch.db does not exist; run `kdsearch study run"),
        (("study", "best", "nobody"), "kdsearch.db does not exist"),
        (("study", "list"), "kdsearch.db does not exist"),
        (("study", "export", "nobody"), "kdsearch.db does not exist"),
        (("study", "predict", "nobody", "--params", "9"), "kdsearch.db does not exist"),
        (("study", "predict", "x"), "give one of --params, --accuracy and --size-bytes"),
        (("study", "predict", "x", "--params", "9", "--accuracy", "0.9"), "give one of --params"),
        (("study", "predict", "x", "--params", "many"), "--params"),
        (("report", "nobody"), "kdsearch.db does not exist"),
        (("study", "list", "--storage", "nonsense"), "storage nonsense cannot be opened"),
        (("study", "export", "x", "--format", "xml"), "'xml' is not one of 'csv', 'json', 'parq"),
        (("study", "rum", "small.yaml"), "No such command 'rum'"),
        (("studdy",), "No such command 'studdy'"),
        (("--verson",), "No such option"),
        (("study", "run"), "Missing argument 'FILE'"),
        (("study", "run", "small.yaml", "--workers", "-1"), "--workers"),
        (("study", "plan", "small.yaml", "--set", "budget.trails=3"), "did you mean 'trials'?"),
        (("study", "plan", "small.yaml", "--set", "budget"), "budget"),
        (("study", "run", "small.yaml", "--set", "budget.trials=many"), "budget.trials"),
    ],
)
def test_a_wrong_command(
    arguments: tuple[str, ...],
    sentence: str,
    command: Command,
    write_study: WriteStudy,
    folder: Path,
) -> None:
    write_study()
    before = listing(folder)
    answer = command(*arguments)
    assert answer.code == 2
    assert sentence in answer.err
    assert len(answer.err.splitlines()) == 1
    assert "Usage" not in answer.err
    assert "Traceback" not in answer.out + answer.err
    assert listing(folder) == before


def test_a_wrong_option_says_whose_help_shows_the_right_ones(command: Command) -> None:
    answer = command("study", "run", "small.yaml", "--workers", "-1")
    assert answer.err.startswith("Invalid value for '--workers': ")
    assert answer.err.endswith("; `kdsearch study run --help` shows what is allowed\n")


@pytest.mark.parametrize("group", [(), ("study",), ("teacher",)])
def test_no_command_prints_the_help(group: tuple[str, ...], command: Command) -> None:
    answer = command(*group)
    assert answer.code == 2
    assert "Commands:" in answer.out + answer.err


def test_data_that_is_not_there_is_found_before_anything_is_written(
    command: Command, write_study: WriteStudy, folder: Path
) -> None:
    write_study(data={"kind": "npz", "path": "missing.npz"})
    before = listing(folder)
    answer = command("study", "run", "small.yaml", "--workers", "0")
    assert (answer.code, "missing.npz" in answer.err) == (2, True)
    assert len(answer.err.splitlines()) == 1
    assert listing(folder) == before


def test_debug_shows_the_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (
        ["--debug", "study", "plan", "x.yaml"],
        ["study", "plan", "x.yaml", "--debug"],
    ):
        monkeypatch.setattr("sys.argv", ["kdsearch", *arguments])
        with pytest.raises(StudyFileError):
            main()


def test_a_bug_is_one_sentence_too_unless_debugged(
    command: Command, write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(plan, "plan_study", broken)
    path = write_study()
    answer = command("study", "plan", path.name)
    assert answer.code == 1
    assert answer.err == (
        "kdsearch failed unexpectedly: ZeroDivisionError: division by zero; "
        "the same command with --debug shows where\n"
    )


def test_an_interrupt_before_the_study_can_stop_by_itself(
    command: Command, write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "plan_study", interrupted)
    answer = command("study", "plan", write_study().name)
    assert answer.code == 130
    assert answer.err == "interrupted; run the same command again to go on\n"


@pytest.mark.slow
def test_a_study_that_another_process_runs(
    command: Command, write_study: WriteStudy, folder: Path
) -> None:
    path = write_study()
    with hold_study(StudyPaths(folder, "small")):
        answer = command("study", "run", path.name)
    assert answer.code == 1
    assert answer.err.startswith("study small is being run by process ")
    assert not (folder / "kdsearch.db").exists()
