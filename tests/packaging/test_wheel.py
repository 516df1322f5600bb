"""The wheel that `python -m build` makes holds all of kdsearch, installs, and runs a study."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

import kdsearch
from tests.conftest import SMALL_STUDY

REPOSITORY = Path(__file__).parents[2]
SOURCES = ("kdsearch", "studies", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md")
TINY = {
    "name": "tiny",
    "search": {
        "alpha": {"role": "nuisance", "low": 0.0, "high": 1.0},
        "learning_rate": {"role": "nuisance", "low": 1e-3, "high": 1e-1, "log": True},
        "width": {"role": "scientific", "values": [4, 8]},
    },
    "budget": {"trials": 2},
    "confirm": {"replicates": 2, "candidates": 1},
    "training": {"epochs": 2},
}


def shell(*command: str | Path, cwd: Path, **variables: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by way of the source distribution, from a copy: build/ here may hold old modules."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder)
    build = (sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", "dist")
    shell(*build, cwd=folder)
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and the dependencies of this one.

    A line in a .pth file adds a folder without its own .pth files, so this environment's editable
    kdsearch stays out of sight.
    """
    folder = tmp_path_factory.mktemp("installed") / "env"
    shell(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install")
    shell(*pip, "--no-deps", "--no-index", "--quiet", wheel, cwd=folder.parent)
    return folder


@pytest.mark.slow
def test_it_holds_every_file_of_kdsearch_and_nothing_else(wheel: Path) -> None:
    package = REPOSITORY / "kdsearch"
    files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    wanted = {str(path.relative_to(REPOSITORY)) for path in files}
    studies = (REPOSITORY / "studies").glob("*.yaml")
    wanted |= {f"kdsearch/studies/{path.name}" for path in studies}
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == wanted
    assert "kdsearch/studies/temp_alpha.yaml" in names
    assert {"kdsearch/py.typed", "kdsearch/analysis/page/templates/report.html"} <= names


@pytest.mark.slow
def test_it_runs_a_study_outside_of_the_repository(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SMALL_STUDY | TINY, sort_keys=False))
    own = {"PYTHONPATH": "", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    say = "import kdsearch; print(kdsearch.__file__)"
    home = shell(environment / "bin" / "python", "-c", say, cwd=tmp_path, **own).strip()
    assert Path(home).is_relative_to(environment)
    command = environment / "bin" / "kdsearch"
    told = shell(command, "--version", cwd=tmp_path, **own)
    assert told == f"kdsearch {kdsearch.__version__}\n"
    for template in ("temp_alpha", "capacity"):
        made = ("study", "new", f"my_{template}.yaml", "--from", template)
        assert "kdsearch study plan" in shell(command, *made, cwd=tmp_path, **own)
        written = yaml.safe_load((tmp_path / f"my_{template}.yaml").read_text())
        shipped = yaml.safe_load((REPOSITORY / "studies" / f"{template}.yaml").read_text())
        assert written["search"] == shipped["search"]
    shell(command, "study", "run", "tiny.yaml", "--workers", "0", cwd=tmp_path, **own)
    assert "<html" in (tmp_path / "reports" / "tiny" / "report.html").read_text()
    table = shell(command, "study", "export", "tiny", cwd=tmp_path, **own)
    assert len(table.splitlines()) == 1 + 2 * 2 * (2 + 2), "two widths, two arms, two and two"
