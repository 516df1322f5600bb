"""Every `kdsearch` command that a page shows is one, with the options that it has."""

import itertools
import re
import shlex
from typing import Any

import pytest
import typer

from kdsearch.cli.main import app
from tests.docs.pages import NAMES, ROOT, blocks

ROOT_COMMAND: Any = typer.main.get_command(app)


def variants(line: str) -> list[str]:
    """A line that gives a choice, as all that it means: `a|b`, `--a 1 | --b 2`, `[--open]`."""
    line = re.sub(r"\[([^\]]*)\]", r"\1", line)
    first, *others = re.split(r" \| (?=--)", line)
    base = first.rpartition(" --")[0]
    lines = [first, *(f"{base} {other}" for other in others)]
    choices = [[word.split("|") for word in one.split(" ")] for one in lines]
    return [" ".join(words) for one in choices for words in itertools.product(*one)]


def shown(page: str) -> list[str]:
    """The command lines in a page's bash blocks, without comments."""
    found = []
    for block in blocks(f"../{page}", "bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            start = next((i for i, w in enumerate(words) if w.endswith("kdsearch")), None)
            if start is not None and "--version" not in words:
                found += variants(" ".join(words[start + 1 :]))
    return found


def mentioned(page: str) -> list[str]:
    """The command lines in the running text, which may leave arguments out."""
    text = re.sub("```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    lines = re.findall(r"`kdsearch ([^`]+)`", " ".join(text.split()))
    return [one for line in lines for one in variants(line)]


def command_of(line: str) -> tuple[Any, list[str]]:
    """The command that a line names, and what is left of the line."""
    command, left = ROOT_COMMAND, line.split()
    while hasattr(command, "commands") and left and not left[0].startswith("-"):
        assert left[0] in command.commands, f"kdsearch {line}: no command {left[0]}"
        command = command.commands[left.pop(0)]
    return command, left


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


@pytest.mark.parametrize("page", NAMES)
def test_commands_of_a_page_are_read_by_the_command_line(page: str) -> None:
    for line in shown(page):
        command, left = command_of(line)
        assert not hasattr(command, "commands"), f"kdsearch {line}: names no command"
        command.make_context(command.name, left).close()  # unknown options raise, missing too
    for line in mentioned(page):
        command, left = command_of(line)
        unknown = {w for w in left if w.startswith("--")} - options_of(command)
        assert not unknown, f"kdsearch {line}"


def test_commands_are_found_at_all() -> None:
    assert len(shown("README.md")) > 8
    assert "study predict first --params 2000" in shown("docs/tutorial.md")
    assert "ui temp-alpha --open" in shown("docs/mlflow.md")
    assert "report NAME" in mentioned("docs/report.md")


def test_what_is_no_command_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no command paint"):
        command_of("study paint NAME")
    command, left = command_of("study best NAME --colour red")
    with pytest.raises(Exception, match="--colour"):
        command.make_context("best", left)


def test_a_choice_is_all_that_it_means() -> None:
    assert variants("study status|best NAME") == ["study status NAME", "study best NAME"]
    assert variants("ui [NAME] [--open]") == ["ui NAME --open"]
    assert variants("predict N --params 5 | --accuracy 0.9") == [
        "predict N --params 5",
        "predict N --accuracy 0.9",
    ]
