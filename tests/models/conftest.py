"""A user's own module in the folder that the tests run in."""

from pathlib import Path

import pytest

from tests.models.architectures import IMPORTED


@pytest.fixture(autouse=True)
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "contract_net.py").write_text(IMPORTED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path
