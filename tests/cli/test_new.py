"""`kdsearch study new`: study files that load as what they were made from."""

from pathlib import Path

import pytest

from kdsearch.cli.templates import COMMENTS, template_names
from kdsearch.cli.templates import folder as templates
from kdsearch.config import load_study
from tests.cli.conftest import Command


@pytest.mark.parametrize("template", template_names())
def test_a_new_file_is_its_template_under_its_own_name(
    template: str, command: Command, folder: Path
) -> None:
    answer = command("study", "new", "mine.yaml", "--from", template)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "  kdsearch study plan mine.yaml"
    mine, shipped = load_study(Path("mine.yaml")), load_study(templates() / f"{template}.yaml")
    assert (mine.name, mine.experiment) == ("mine", "mine")
    own = {"name": "mine", "tracking": mine.tracking}
    assert mine == shipped.model_copy(update=own)
    lines = Path("mine.yaml").read_text().splitlines()
    for index, line in enumerate(lines):
        if line.partition(":")[0] in COMMENTS:
            assert lines[index - 1].startswith("# "), line
    (run,) = [line for line in lines if "kdsearch study run" in line]
    assert "kdsearch study run mine.yaml" in run


def test_the_default_is_temp_alpha(command: Command, folder: Path) -> None:
    assert command("study", "new", "mine.yaml").code == 0
    assert "temperature and alpha" in Path("mine.yaml").read_text()


@pytest.mark.parametrize("name", ["007", "no", "2026-01-01", "1e3"])
def test_a_name_that_yaml_would_read_as_something_else(
    name: str, command: Command, folder: Path
) -> None:
    assert command("study", "new", f"{name}.yaml").code == 0
    assert load_study(Path(f"{name}.yaml")).experiment == name


def test_mistakes_are_one_sentence_and_write_nothing(command: Command, folder: Path) -> None:
    (folder / "mine.yaml").write_text("mine: yes\n")
    there = command("study", "new", "mine.yaml")
    assert (there.code, there.err) == (2, "mine.yaml is there already; give another name\n")
    assert (folder / "mine.yaml").read_text() == "mine: yes\n"
    unknown = command("study", "new", "other.yaml", "--from", "temp_alhpa")
    assert unknown.code == 2
    assert unknown.err.startswith("--from \"temp_alhpa\" is not known; did you mean 'temp_alpha'?")
    odd = command("study", "new", "my study.yaml")
    assert odd.err.startswith("a study cannot be called 'my study'; allowed are letters")
    nowhere = command("study", "new", "no/such/folder.yaml")
    assert nowhere.err == "no/such/folder.yaml cannot be written: No such file or directory\n"
    assert [path.name for path in folder.iterdir()] == ["mine.yaml"]
