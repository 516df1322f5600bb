"""The user's own code, named in a study file as `module:callable`."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from kdsearch.errors import KdsearchError, UserInputError


def import_target(
    target: str, *, error_type: type[UserInputError] = UserInputError
) -> Callable[..., object]:
    """The callable that `target` names.

    The folder that the process runs in is put first on `sys.path`, as `python -m` does, and stays
    there: code that imports its neighbours later, inside a call, must find them too.

    Args:
        target: `module:callable`, where the module may be dotted.
        error_type: what to raise.

    Raises:
        UserInputError: (or `error_type`) there is no such module or attribute, it is not
            callable, or importing the module fails; the message names `target`.
    """
    module_name, colon, attribute = target.partition(":")
    if not (module_name and colon and attribute):
        raise error_type(f"Target '{target}' is not of the form module:callable.")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()  # the module may be younger than the last look at its folder
    with UserCode(f"Importing '{target}'", error_type):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not _is_part(error.name, of=module_name):
                raise  # found, but something that it imports is not
            raise error_type(
                f"Target '{target}': there is no module '{error.name}', neither in {folder} "
                "nor installed in this environment."
            ) from error
    if not hasattr(module, attribute):
        raise error_type(
            f"Target '{target}': module '{module_name}' ({module.__file__}) has no '{attribute}'."
        )
    found = getattr(module, attribute)
    if not callable(found):
        raise error_type(
            f"Target '{target}' is of type {type(found).__name__}; a function or class is allowed."
        )
    return found


def call_target(
    target: str,
    options: Mapping[str, object],
    *,
    error_type: type[UserInputError] = UserInputError,
) -> object:
    """What the callable that `target` names returns for the keyword arguments `options`.

    Raises:
        UserInputError: (or `error_type`) as `import_target`, and whenever the callable raises.
    """
    function = import_target(target, error_type=error_type)
    with UserCode(f"Calling '{target}'", error_type):
        return function(**options)


class UserCode:
    """Turns whatever the user's code raises into one sentence, the cause kept.

    kdsearch's own errors and Ctrl-C pass. `sys.exit` does not: a module may call it by mistake.
    """

    def __init__(self, doing: str, error_type: type[UserInputError]) -> None:
        self._doing = doing
        self._error_type = error_type

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception | SystemExit) and not isinstance(error, KdsearchError):
            reason = " ".join(str(error).split())  # messages are one line
            raise self._error_type(
                f"{self._doing} failed with {type(error).__name__}: {reason}"
            ) from error


def _is_part(name: str | None, *, of: str) -> bool:
    return name is not None and (of == name or of.startswith(f"{name}."))
