"""`kdsearch --help` answers at once because it imports nothing heavy."""

import subprocess
import sys

import pytest

import kdsearch
from tests.cli.conftest import STUDY, Command, Ran
from tests.conftest import WriteStudy

HELP = """
import sys
sys.argv = ["kdsearch", "--help"]
from kdsearch.cli.main import main
try:
    main()
except SystemExit as left:
    assert not left.code
heavy = {"torch", "optuna", "mlflow", "pydantic", "pandas", "numpy", "sklearn", "scipy", "yaml"}
print("heavy:", sorted(heavy & set(sys.modules)))
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Usage: kdsearch" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"
    for word in ("study", "teacher", "report", "--version", "--debug"):
        assert word in done.stdout


def test_version(command: Command) -> None:
    assert command("--version") == (0, f"kdsearch {kdsearch.__version__}\n", "")


def test_help_of_every_group(command: Command) -> None:
    for arguments in (("study", "--help"), ("teacher", "--help"), ("study", "run", "--help")):
        answer = command(*arguments)
        assert answer.code == 0
        assert "Usage: kdsearch" in answer.out


FIRST_FRAME = """
import sys
from rich.console import Console
from kdsearch.config import load_study
from kdsearch.cli.display import Display
display = Display(load_study(sys.argv[1]), Console(force_terminal=True))
display.start()
heavy = {"torch", "optuna", "mlflow", "pandas", "numpy", "sklearn", "scipy", "matplotlib"}
found = sorted(heavy & set(sys.modules))
display.stop()
print("heavy:", found)
"""


def test_a_run_shows_its_first_frame_before_it_imports_anything_heavy(
    write_study: WriteStudy,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME, str(write_study())],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "loading PyTorch" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("heavy: []")


LOOK = """
import sys
sys.argv = ["kdsearch", "study", sys.argv[1], *sys.argv[2:]]
from kdsearch.cli.main import main
try:
    main()
except SystemExit as left:
    assert not left.code
heavy = {"mlflow", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow"}
print("heavy:", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_look_at_a_study_imports_nothing_that_draws_or_computes(ran: Ran) -> None:
    for arguments in (["status", STUDY], ["list"]):
        done = subprocess.run(
            [sys.executable, "-c", LOOK, *arguments],
            capture_output=True, text=True, check=True, timeout=60, cwd=ran.folder,
        )  # fmt: skip
        assert STUDY in done.stdout or "distilled" in done.stdout
        assert done.stdout.splitlines()[-1] == "heavy: []"
