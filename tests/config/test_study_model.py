"""What a study makes of its search space: strata, arms, questions, trials."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from study_text import GOOD

from kdsearch.analysis.statistics.capacity import MIN_SIZES
from kdsearch.config import (
    SearchParameter,
    StudyConfig,
    applies_to_baseline,
    baseline_strata,
    load_study,
)
from kdsearch.config.data import AugmentConfig
from kdsearch.config.saturation import FIRST_SIZES
from kdsearch.testing.small_study import SMALL_STUDY

Load = Callable[..., StudyConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD)
    return lambda *overrides: load_study(path, overrides)


def test_strata_are_the_product_of_the_scientific_values_in_file_order(load: Load) -> None:
    config = load(
        "search.ensemble_size={role: scientific, values: [1, 4]}", "search.width.values=[8, 16]"
    )
    assert config.strata() == (
        {"ensemble_size": 1, "width": 8},
        {"ensemble_size": 1, "width": 16},
        {"ensemble_size": 4, "width": 8},
        {"ensemble_size": 4, "width": 16},
    )
    assert baseline_strata(config.strata()) == ({"width": 8}, {"width": 16})


def test_a_file_that_names_no_sampler_has_a_surface_or_tpe_for_a_front(load: Load) -> None:
    assert load().sampler_kind == "tpe", "as the file says"
    assert load("sampler={}").sampler_kind == "surface"
    front = "[{metric: val_accuracy, direction: maximize}, {metric: macs, direction: minimize}]"
    assert load("sampler={}", f"objective={front}").sampler_kind == "tpe"


@pytest.mark.parametrize(
    ("parameter", "allowed"),
    [
        (SearchParameter(role="nuisance", low=0.0, high=1.0), True),
        (SearchParameter(role="nuisance", low=0.0, high=0.99), False),
        (SearchParameter(role="nuisance", low=2, high=9), False),
        (SearchParameter(role="nuisance", low=0.0, high=1.0, step=0.1), True),
        (SearchParameter(role="nuisance", low=0.0, high=1.0, step=0.3), False),
        (SearchParameter(role="nuisance", values=(0.5, 1)), True),
        (SearchParameter(role="nuisance", values=(0.5, True)), False),
        (SearchParameter(role="nuisance", values=("1", "a")), False),
        (SearchParameter(role="fixed", value=1.0), True),
    ],
)
def test_a_parameter_allows_the_numbers_that_it_can_take(
    parameter: SearchParameter, allowed: bool
) -> None:
    assert parameter.allows(1.0) == allowed


def test_without_a_scientific_parameter_there_is_one_stratum(load: Load) -> None:
    config = load("search.width={role: fixed, value: 32}")
    assert config.strata() == ({},)
    assert baseline_strata(config.strata()) == ({},)
    assert config.trial_config({"alpha": 0.5}).student.width == 32


@pytest.mark.parametrize(
    ("name", "applies"),
    [
        ("temperature", False),
        ("alpha", False),
        ("ensemble_size", False),
        ("teacher.model.width", False),
        ("teacher.training.epochs", False),
        ("learning_rate", True),
        ("width", True),
        ("student.depth", True),
        ("training.weight_decay", True),
        ("training.keep", True),
        ("student.dropout", True),
        ("data.train_fraction", True),
    ],
)
def test_the_baseline_has_no_teacher(name: str, applies: bool) -> None:
    assert applies_to_baseline(name) is applies


def test_teachers_never_see_less_than_all_and_what_their_section_says(load: Load) -> None:
    plain = load()
    data = load("data.augment={shift: 2}", "data.transfer={omit_classes: [3]}").data
    own = AugmentConfig(shift=1, views=3)
    for words, views in (
        ("data", data.augment), ("none", None), ("{shift: 1, views: 3}", own)
    ):  # fmt: skip
        teacher = load(f"teacher.augment={words}").teacher
        expected = plain.data.model_copy(update={"augment": views})
        assert teacher.data_of(data) == expected
        kept = teacher.data_of(plain.data).augment
        assert kept == (None if words == "data" else views), "whatever students see"


def test_a_later_field_is_part_of_an_identity_once_it_is_set(load: Load) -> None:
    config = load()
    for section, later, change in (
        (config.student, {"dropout", "input_dropout", "max_norm"}, {"max_norm": 3.0}),
        (config.data, {"transfer"}, {"transfer": {"omit_classes": (3,)}}),
        (config.training, {"keep"}, {"keep": "last"}),
    ):
        assert section.identity() == section.model_dump(mode="json", exclude=later)
        changed = type(section).model_validate(section.model_dump() | change)
        unset = later - change.keys()
        assert changed.identity() == changed.model_dump(mode="json", exclude=unset)
        first = next(iter(type(section).model_fields))
        assert first not in changed.identity(exclude=frozenset({first}))
        assert change.keys() <= changed.identity(exclude=frozenset({first})).keys()


def test_all_samples_of_a_section(load: Load) -> None:
    plain = load().data
    assert not plain.is_part
    for change in ("data.train_fraction=0.5", "data.transfer={omit_classes: [3]}"):
        part = load(change).data
        assert part.is_part
        assert part.whole() == plain
        assert part.whole().whole() == plain


def test_questions(load: Load) -> None:
    assert load().question_text == (
        "Which temperature, alpha, learning rate and ensemble size suit mlp students of width "
        "8, 16, ..., 256?"
    )
    assert load("question='How small?'").question_text == "How small?"
    fixed = "{role: fixed, value: 4}"
    config = load(
        f"search.temperature={fixed}",
        f"search.ensemble_size={fixed}",
        "search.learning_rate={role: fixed, value: 1e-3}",
        "search.width={role: fixed, value: 24}",
        "search.data.train_fraction={role: scientific, values: [0.1, 1.0]}",
    )
    assert config.question_text == (
        "Which alpha suits mlp students of width 24 at train fraction 0.1 and 1.0?"
    )


def test_the_points_of_a_parameter() -> None:
    stepped = SearchParameter(role="nuisance", low=0.7, high=1.0, step=0.1)
    assert stepped.points() == (0.7, 0.8, 0.9, 1.0)
    assert SearchParameter(role="nuisance", low=1, high=6, step=2).points() == (1, 3, 5)
    assert SearchParameter(role="fixed", value=3).points() == (3,)
    values = SearchParameter(role="nuisance", values=("adam", "sgd"))
    assert (values.points(), values.num_points()) == (("adam", "sgd"), 2)
    free = SearchParameter(role="nuisance", low=0.0, high=1.0)
    assert (free.points(), free.num_points()) == (None, None)


def test_a_model_made_in_python_is_checked_like_a_file(load: Load) -> None:
    tree = load().model_dump()
    tree["teacher"]["members"] = 1
    with pytest.raises(ValidationError, match=r"search\.ensemble_size\.values\.1: 2 teachers"):
        StudyConfig.model_validate(tree)


def test_a_ladder_is_a_scientific_parameter_that_names_its_own_sizes(load: Load) -> None:
    config = load("search.width={role: fixed, value: 32}")
    tree = config.model_dump(mode="json")
    del tree["search"]["width"]
    tree["study"] = {"tolerance": 0.01, "ladder": {"start": 4, "factor": 1.5, "max": 30}}
    config = StudyConfig.model_validate(tree)
    assert config.study.ladder is not None
    assert config.study.ladder.sizes() == (4, 6, 9, 14, 20, 30)
    assert list(config.parameters("scientific")) == ["width"]
    assert config.strata()[:2] == ({"width": 4}, {"width": 6})
    assert "width 4, 6, ..., 30" in config.question_text
    assert config.is_integer("width")
    assert config.study.confidence == 0.9
    assert FIRST_SIZES >= MIN_SIZES, "a ladder begins with what a verdict takes"


def test_a_parameter_has_one_name_past_the_file() -> None:
    short = {"role": "nuisance", "low": 1e-3, "high": 1e-1, "log": True}
    rest = {n: p for n, p in SMALL_STUDY["search"].items() if n != "learning_rate"}
    dotted = SMALL_STUDY | {"search": {"training.learning_rate": short} | rest}
    usual = SMALL_STUDY | {"search": {"learning_rate": short} | rest}
    assert StudyConfig.model_validate(dotted) == StudyConfig.model_validate(usual)
    assert next(iter(StudyConfig.model_validate(dotted).search)) == "learning_rate"
    twice = SMALL_STUDY | {"search": {"training.learning_rate": short, "learning_rate": short}}
    with pytest.raises(ValueError, match=r"is the same field as 'training.learning_rate'"):
        StudyConfig.model_validate(twice)
