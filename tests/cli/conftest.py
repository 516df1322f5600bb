"""The command line in this process, and one small study that it has run."""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from kdsearch.cli.main import main
from tests.conftest import SMALL_STUDY


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `kdsearch ...`."""

    def run(*arguments: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["kdsearch", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        code = left.value.code
        return Answer(code if isinstance(code, int) else int(bool(code)), out, err)

    return run


STUDY = "a-study-with-a-long-name-that-is-64-characters-long-as-allowed-0"


class Ran(NamedTuple):
    """A study that the command line has run, and its folder, which is current."""

    folder: Path
    out: str


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, shared_state: None) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("ran")
    tree = yaml.safe_load(yaml.safe_dump(SMALL_STUDY)) | {"name": STUDY}
    tree["training"]["epochs"] = 3
    tree["search"]["training.weight_decay"] = {"role": "nuisance", "values": [0.0, 0.01]}
    (folder / "study.yaml").write_text(yaml.safe_dump(tree))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["kdsearch", "study", "run", "study.yaml", "--workers", "0"])
        out = io.StringIO()
        with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        yield Ran(folder, out.getvalue())
