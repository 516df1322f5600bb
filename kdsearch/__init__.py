"""How small can a distilled student be before it stops keeping up with its teacher?"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdsearch.config.reading.loading import load_study
    from kdsearch.study.run import run_study
    from kdsearch.study.storage.outcome import load_results

    __version__: str

_HOMES = {
    "load_study": "kdsearch.config.reading.loading",
    "load_results": "kdsearch.study.storage.outcome",
    "run_study": "kdsearch.study.run",
}

__all__ = ["__version__", "load_results", "load_study", "run_study"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `import kdsearch` and `kdsearch --help` load no torch, MLflow or Optuna.
    if name == "__version__":
        return import_module("importlib.metadata").version("kdsearch")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'kdsearch' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
