import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdsearch.errors import DataError, StaleCacheError, UserInputError
from kdsearch.user_code import call_target, import_target

WriteModule = Callable[[str], str]


@pytest.fixture
def module(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WriteModule:
    """Write a module of its own name into the working folder; gives the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = "m" + "".join(c if c.isalnum() else "_" for c in request.node.name)

    def write(source: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return write


def test_a_callable_in_the_working_folder(module, tmp_path: Path) -> None:
    name = module("def double(n): return 2 * n")
    double = import_target(f"{name}:double")
    assert double(21) == 42
    assert sys.path[0] == str(tmp_path)


def test_the_folder_is_added_once(module, tmp_path: Path) -> None:
    name = module("def one(): return 1")
    for _ in range(3):
        import_target(f"{name}:one")
    assert sys.path.count(str(tmp_path)) == 1


def test_installed_dotted_modules_and_classes() -> None:
    assert import_target("torch.nn:Linear") is torch.nn.Linear


def test_a_neighbour_imported_inside_the_call_is_found(module, tmp_path: Path) -> None:
    (tmp_path / "late_neighbour.py").write_text("value = 7")
    name = module(
        """
        def late():
            import late_neighbour
            return late_neighbour.value
        """
    )
    assert call_target(f"{name}:late", {}) == 7


@pytest.mark.parametrize(
    ("source", "attribute", "message"),
    [
        ("x = 1", "make", r"Target '{name}:make': module '{name}' \(.*\) has no 'make'"),
        ("make = 3", "make", "Target '{name}:make' is of type int; a function or class"),
        ("raise OSError('gone')", "make", "Importing '{name}:make' failed with OSError: gone"),
        ("def make(:", "make", "Importing '{name}:make' failed with SyntaxError"),
        ("import sys; sys.exit(3)", "make", "Importing '{name}:make' failed with SystemExit: 3"),
        ("import absent_friend", "make", "failed with ModuleNotFoundError: .*'absent_friend'"),
    ],
)
def test_targets_that_cannot_be_imported(
    module, source: str, attribute: str, message: str
) -> None:
    name = module(source)
    with pytest.raises(UserInputError, match=message.format(name=name)) as caught:
        import_target(f"{name}:{attribute}")
    assert not isinstance(caught.value, DataError)


@pytest.mark.parametrize("target", ["absent_module:make", "torch.absent_part:make"])
def test_no_such_module(module, tmp_path: Path, target: str) -> None:
    with pytest.raises(
        UserInputError, match=f"'{target}': there is no module '.*absent"
    ) as caught:
        import_target(target)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("target", ["no_colon", ":make", "module:"])
def test_malformed_targets(target: str) -> None:
    with pytest.raises(UserInputError, match="not of the form module:callable"):
        import_target(target)


def test_what_the_callable_raises_is_reported_with_its_cause(module) -> None:
    name = module(
        """
        class Odd(Exception): pass
        def make(): raise Odd("too odd")
        """
    )
    with pytest.raises(UserInputError, match=f"Calling '{name}:make' failed with Odd: too") as e:
        call_target(f"{name}:make", {})
    assert type(e.value.__cause__).__name__ == "Odd"


def test_our_own_errors_and_ctrl_c_pass(module) -> None:
    name = module(
        """
        from kdsearch.errors import StaleCacheError
        def stale(): raise StaleCacheError("mine")
        def interrupt(): raise KeyboardInterrupt
        """
    )
    with pytest.raises(StaleCacheError, match=r"^mine$"):
        call_target(f"{name}:stale", {})
    with pytest.raises(KeyboardInterrupt):
        call_target(f"{name}:interrupt", {})


def test_options_reach_the_callable_and_lists_become_arrays(load, module) -> None:
    name = module(
        """
        def make(*, classes, scale):
            rows = range(20 * classes)
            return [[scale * i, 1.0] for i in rows], [i % classes for i in rows]
        """
    )
    options = {"classes": 4, "scale": 0.5}
    data = load(kind="import", target=f"{name}:make", options=options)
    assert data.name == f"{name}:make"
    assert data.num_classes == 4
    assert torch.equal(data.train.x[:, 0], 0.5 * data.train.ids)


def test_tensors_and_a_missing_test_set(load, module) -> None:
    name = module(
        """
        import torch
        def make(): return torch.ones(40, 3), torch.arange(40) % 2, None, None
        """
    )
    data = load(kind="import", target=f"{name}:make")
    assert data.input_shape == (3,)
    assert len(data.test) == 8


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("None", "returned type NoneType; (x, y)"),
        ("np.ones((2, 3))", "returned type ndarray; (x, y)"),
        ("(np.ones((9, 2)),) * 3", "returned a tuple of 3; (x, y)"),
        ("([[1], [1, 2]], [0, 1])", "x is no array"),
        ("(torch.ones(4, 2, requires_grad=True), [0, 1, 0, 1])", "x is no array"),
        ("(np.ones((9, 2)), np.arange(8) % 2)", "x has 9 samples and y has 8 labels"),
        ("(np.ones((8, 2)), np.arange(8) % 2, np.ones((2, 2)), None)", "x_test is given without"),
    ],
)
def test_wrong_results(load, module, result: str, message: str) -> None:
    name = module(f"import numpy as np, torch\ndef make(): return {result}")
    with pytest.raises(DataError) as caught:
        load(kind="import", target=f"{name}:make")
    assert message in str(caught.value)
    assert f"{name}:make" in str(caught.value)


def test_every_failure_of_a_data_target_is_a_data_error(load, module) -> None:
    name = module("def make(): return 1 / 0")
    for target, options in (
        ("absent_module:make", {}),
        (f"{name}:absent", {}),
        (f"{name}:make", {}),
        (f"{name}:make", {"unknown": 1}),
    ):
        with pytest.raises(DataError, match=target):
            load(kind="import", target=target, options=options)


def test_an_error_of_two_lines_becomes_one(load, module) -> None:
    name = module("def make(): raise ValueError('first\\n  second')")
    with pytest.raises(DataError, match=r"failed with ValueError: first second$"):
        load(kind="import", target=f"{name}:make")
