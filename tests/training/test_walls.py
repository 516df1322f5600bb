"""The training code knows no Optuna, MLflow or YAML, and unpickles nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import kdsearch

ROOT = Path(kdsearch.__file__).parent
LAYERS = ("training", "distill", "models")


def imported_names(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return names


@pytest.mark.slow
def test_importing_the_loop_imports_no_search_and_no_tracking() -> None:
    script = (
        "import sys, kdsearch.training.loop\n"
        "unwanted = {'optuna', 'mlflow', 'ray', 'sqlalchemy', 'typer', 'rich', 'matplotlib',"
        " 'pandas'}\n"
        "print(sorted(unwanted & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_no_file_names_the_study_or_its_tools() -> None:
    forbidden = {"optuna", "mlflow", "yaml", "ray"}
    above = {f"kdsearch.{layer}" for layer in ("study", "tracking", "execution", "cli")}
    for layer in LAYERS:
        for file in (ROOT / layer).rglob("*.py"):
            names = imported_names(file)
            assert not {name.split(".")[0] for name in names} & forbidden, file
            assert not {".".join(name.split(".")[:2]) for name in names} & above, file


def test_nothing_is_unpickled() -> None:
    for layer in LAYERS:
        for file in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                where = f"{file}:{node.lineno}"
                called = ast.unparse(node.func)
                assert called not in {"pickle.load", "pickle.loads", "numpy.load"}, where
                if called == "torch.load":
                    keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert keywords.get("weights_only") == "True", where
