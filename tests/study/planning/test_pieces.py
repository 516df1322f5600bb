"""What cannot work is refused in one sentence, before anything is written."""

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdsearch.data import load_dataset
from kdsearch.errors import DataError, UserInputError
from kdsearch.study.planning.pieces import check_pieces
from kdsearch.study.planning.plan import plan_study
from kdsearch.testing.small_study import small_study

WriteModule = Callable[[str], str]


@pytest.fixture
def module(folder: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest):
    """Writes a module of its own name into the working folder; gives the name."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> str:
        name = f"pieces_{abs(hash(request.node.nodeid))}"
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return write


def refusal(**changes: object) -> str:
    with pytest.raises(UserInputError) as caught:
        check_pieces(small_study(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_data_come_back() -> None:
    config = small_study()
    assert check_pieces(config).fingerprint == load_dataset(config.data).fingerprint


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is not there")
@pytest.mark.parametrize("field", ["training.device", "teacher.training.device"])
def test_no_such_device(field: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDSEARCH_CACHE", str(folder / "cache"))
    assert refusal(**{field.replace(".", "__"): "cuda"}).startswith(f"{field} is cuda")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nope", "/proc"])
def test_a_cache_that_cannot_be_written(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("in the way")
    cache = folder / place
    monkeypatch.setenv("KDSEARCH_CACHE", str(cache))
    message = refusal()
    assert "KDSEARCH_CACHE" in message
    assert f"cache folder {cache} cannot be written" in message


def test_the_cache_folder_is_made_and_holds_the_data_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KDSEARCH_CACHE", str(folder / "deep" / "cache"))
    check_pieces(small_study())
    assert [f.name for f in (folder / "deep" / "cache").iterdir()] == ["prepared"]


def test_models_larger_than_memory_are_refused_without_being_built() -> None:
    huge = {"kind": "mlp", "width": 65_536, "depth": 16}
    search = {"temperature": {"role": "nuisance", "low": 1.0, "high": 9.0}}
    message = refusal(student=huge, search=search)
    num_params = 64 * 65_536 + 65_536 + 15 * (65_536**2 + 65_536) + 65_536 * 10 + 10
    assert message.startswith(f"student: mlp width 65536 depth 16 has {num_params} parameters")
    assert message.endswith("take a smaller width or budget.generation")
    tuned = {"width": {"role": "nuisance", "low": 4, "high": 65_536, "log": True}}
    assert "student: mlp width 65536 depth 16" in refusal(
        student=huge | {"width": 4}, search=tuned
    )
    assert "teacher.model: mlp width 65536" in refusal(teacher__model=huge)
    with pytest.raises(UserInputError, match="take a smaller width"):
        plan_study(small_study(student=huge, search=search))


def test_a_generation_is_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = 16 * 16 * 610  # the widest of the small study's strata has 610 parameters
    pages = {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": memory}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    small = {"kind": "mlp", "width": 4, "depth": 1}
    changes = {"budget__generation": 4096, "budget__trials": 5000, "teacher__model": small}
    check_pieces(small_study(**changes))
    pages["SC_PHYS_PAGES"] = memory + 6000
    wider = {"temperature": {"role": "nuisance", "low": 1.0, "high": 9.0},
             "width": {"role": "scientific", "values": [4, 8, 9]}}  # fmt: skip
    assert "mlp width 9" in refusal(search=wider, **changes)


def test_data_that_change_are_refused(module: WriteModule) -> None:
    source = """
        import numpy as np
        def make(seed):
            rng = np.random.default_rng(None if seed < 0 else seed)
            return rng.normal(size=(80, 3)), np.arange(80) % 2
        """
    target = f"{module(source)}:make"

    def data(seed: int) -> dict[str, object]:
        return {"kind": "import", "target": target, "options": {"seed": seed}}

    check_pieces(small_study(data=data(3)))
    with pytest.raises(DataError, match="same samples every time: seed it"):
        check_pieces(small_study(data=data(-1)))


FLAT = """
    import numpy as np
    def make():
        rng = np.random.default_rng(0)
        return rng.normal(size=(80, 3)), np.arange(80) % 2
    def deaf(x, generator):
        import torch
        return x + torch.rand(())
    """


@pytest.mark.parametrize("section", ["data.augment", "teacher.augment"])
def test_views_that_cannot_be_made_are_refused_where_they_are_said(
    section: str, module: WriteModule
) -> None:
    name = module(FLAT)
    data = {"kind": "import", "target": f"{name}:make"}
    key = section.replace(".", "__")
    flat = refusal(data=data, **{key: {"shift": 1}})
    assert flat.startswith(f"{section}: samples of shape [3] are flat")
    assert flat.endswith(f"or take {section} out")
    deaf = refusal(**{key: {"transform": f"{name}:deaf"}})
    assert deaf.startswith(f"{section}.transform: '{name}:deaf' gave other samples")
