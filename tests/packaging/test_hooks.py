"""What a commit is checked by is what `make lint` runs, by the tools of this environment."""

from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def test_hooks_are_the_tools_of_make_lint() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"], "nothing is downloaded"
    called = [hook["entry"].split()[0] for hook in hooks[0]["hooks"]]
    makefile = (REPOSITORY / "Makefile").read_text()
    lint = makefile.partition("lint: ")[2].partition("\n\n")[0].splitlines()[1:]
    assert called == [line.split()[0].replace("$(BIN)", ".venv/bin") for line in lint]
