"""What kind of question a study asks, and what it takes to answer it."""

from pathlib import Path

import pytest
from study_text import GOOD

from kdsearch.config import load_study
from kdsearch.errors import StudyFileError

WIDTH = "width: {role: scientific, values: [8, 16, 32, 64, 128, 256]}"
FRONT = "objective=[{metric: val_accuracy, direction: maximize}, {metric: num_params}]"


def asks(folder: Path, *overrides: str, text: str = GOOD) -> str:
    path = folder / "study.yaml"
    path.write_text(text)
    return load_study(path, overrides).asks


@pytest.mark.parametrize(
    ("scientific", "kind"),
    [
        (WIDTH, "size"),
        ("student.depth: {role: scientific, values: [1, 2]}", "size"),
        ("data.train_fraction: {role: scientific, values: [0.1, 1.0]}", "data_share"),
        ("training.epochs: {role: scientific, values: [10, 20]}", "levels"),
        ("width: {role: fixed, value: 8}", "temperature_alpha"),
        (
            f"{WIDTH}\n  data.train_fraction: {{role: scientific, values: [0.1, 1.0]}}",
            "data_share",
        ),
        (f"{WIDTH}\n  training.epochs: {{role: scientific, values: [10, 20]}}", "grid"),
    ],
)
def test_the_search_space_says_what_is_asked(tmp_path: Path, scientific: str, kind: str) -> None:
    assert asks(tmp_path, text=GOOD.replace(WIDTH, scientific)) == kind


def test_teachers_a_ladder_and_several_objectives_ask_too(tmp_path: Path) -> None:
    teachers = "search.ensemble_size={role: scientific, values: [1, 2]}"
    fixed = "search.width={role: fixed, value: 8}"
    assert asks(tmp_path, teachers, fixed) == "ensemble_size"
    ladder = GOOD.replace(f"  {WIDTH}\n", "")
    assert asks(tmp_path, "study.ladder={start: 4, max: 64}", text=ladder) == "size"
    text = GOOD.replace("sampler: {kind: tpe}", "sampler: {kind: nsga2}")
    assert asks(tmp_path, FRONT, "pruner={kind: none}", text=text) == "pareto"


def test_without_teachers_to_tune_it_asks_whether_they_help(tmp_path: Path) -> None:
    settings = ("temperature", "alpha", "ensemble_size")
    fixed = [f"search.{name}={{role: fixed, value: 1}}" for name in settings]
    fixed[1] = "search.alpha={role: fixed, value: 0.5}"
    assert asks(tmp_path, *fixed, "search.width={role: fixed, value: 8}") == "gain"


def test_the_file_may_ask_for_something_else(tmp_path: Path) -> None:
    for kind in ("temperature_alpha", "epochs", "cost", "gain"):
        assert asks(tmp_path, f"study.asks={kind}") == kind


@pytest.mark.parametrize(
    ("overrides", "needs"),
    [
        (["study.asks=pareto"], "two or more objectives"),
        (["study.asks=ensemble_size"], "ensemble_size as its one scientific"),
        (["study.asks=data_share"], "data.train_fraction as a scientific"),
        (["study.asks=grid"], "two scientific parameters"),
        (["study.asks=epochs", "confirm.baseline=false"], "confirm.baseline: true"),
        (["study.asks=size", "search.width={role: fixed, value: 8}"], "a scientific size"),
        (["study.asks=levels", "search.width={role: fixed, value: 8}"], "one scientific"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    tmp_path: Path, overrides: list[str], needs: str
) -> None:
    with pytest.raises(StudyFileError, match=needs):
        asks(tmp_path, *overrides)


def test_a_typo_in_the_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="did you mean 'epochs'"):
        asks(tmp_path, "study.asks=epoch")


def test_a_parameter_is_tuned_away_unless_the_file_says_more(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.replace("alpha: {role: nuisance, ", "alpha: {"))
    assert load_study(path).search["alpha"].role == "nuisance"
