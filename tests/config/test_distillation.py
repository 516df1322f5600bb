"""The section `distillation`: what it fixes, what replaces it, and what each loss can be asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from study_text import changed

from kdsearch.config import (
    ImportDistillation,
    KdDistillation,
    StudyConfig,
    load_study,
    needs_teacher,
)
from kdsearch.errors import StudyFileError

SEARCHED = "  temperature: {role: nuisance, low: 1.0, high: 20.0, log: true}\n"
SIZES = "  ensemble_size: {role: nuisance, values: [1, 2, 4]}\n"
ALPHA = "  alpha: {role: nuisance, low: 0.0, high: 1.0}\n"
MODES = "  distillation.ensemble_mode: {role: nuisance, values: [logit_mean, prob_mean]}\n"
A_RANGE = MODES.replace("values: [logit_mean, prob_mean]", "low: 0, high: 1")
OWN = 'distillation: {kind: import, target: "mine:Loss", options: {margin: 1.0}}\n'

Load = Callable[..., StudyConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads the good file with a section before `search`, and some of its lines replaced."""

    def read(section: str, *edits: tuple[str, str]) -> StudyConfig:
        path = tmp_path / "study.yaml"
        path.write_text(changed(("search:\n", f"{section}search:\n"), *edits))
        return load_study(path)

    return read


def problems(load: Load, section: str, *edits: tuple[str, str]) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        load(section, *edits)
    return caught.value.problems


def test_a_file_without_the_section_means_what_it_meant(load: Load) -> None:
    config = load("")
    assert config.distillation == KdDistillation()
    taught = config.trial_config({}).distillation
    assert taught == KdDistillation(ensemble_size=4, ensemble_mode="logit_mean")
    assert (taught.number("temperature"), taught.number("alpha")) == (4.0, 0.5)


@pytest.mark.parametrize("kind", ["", "kind: kd, "])
def test_the_section_fixes_what_the_search_leaves_out(load: Load, kind: str) -> None:
    section = f"distillation: {{{kind}temperature: 3.0, ensemble_size: 2}}\n"
    config = load(section, (SEARCHED, ""), (SIZES, ""))
    taught = config.trial_config({"alpha": 0.25}).distillation
    assert taught == KdDistillation(
        temperature=3.0, alpha=0.25, ensemble_size=2, ensemble_mode="logit_mean"
    )
    assert StudyConfig.model_validate_json(config.model_dump_json()) == config


def test_what_is_searched_takes_the_place_of_the_sections_value(load: Load) -> None:
    """As with `student.width` and every field of `training`."""
    section = "distillation: {temperature: 3.0, ensemble_mode: prob_mean}\n"
    config = load(section, (SIZES, "  ensemble_size: {role: fixed, value: 1}\n"))
    taught = config.trial_config({"temperature": 7.0}).distillation
    assert taught == KdDistillation(temperature=7.0, ensemble_size=1, ensemble_mode="prob_mean")


def test_fields_are_searched_by_their_dotted_names_too(load: Load) -> None:
    config = load("", ("  alpha:", "  distillation.alpha:"), (SIZES, SIZES + MODES))
    settings = {"distillation.alpha": 0.1, "distillation.ensemble_mode": "prob_mean"}
    taught = config.trial_config(settings).distillation
    assert (taught.number("alpha"), taught.ensemble_mode) == (0.1, "prob_mean")


def test_hard_labels_are_kd_at_alpha_one_whatever_the_loss(load: Load) -> None:
    config = load(OWN, (SEARCHED, ""), (ALPHA, ""))
    taught = config.trial_config({"ensemble_size": 2}).distillation
    assert taught == ImportDistillation(
        kind="import", target="mine:Loss", options={"margin": 1.0},
        ensemble_size=2, ensemble_mode="logit_mean",
    )  # fmt: skip
    assert taught.needs_teacher
    assert (taught.number("temperature"), taught.number("alpha")) == (None, None)
    baseline = config.trial_config({"alpha": 1.0}).distillation
    assert isinstance(baseline, KdDistillation)
    assert not baseline.needs_teacher


@pytest.mark.parametrize(
    ("alpha", "needs"), [(0.0, True), (0.999, True), (1, False), (None, True)]
)
def test_alpha_one_needs_no_teacher(alpha: float | None, needs: bool) -> None:
    assert needs_teacher(alpha) is needs


def test_options_of_an_imported_loss_are_searched_by_their_names(load: Load) -> None:
    margin = "  distillation.options.margin: {role: nuisance, low: 0.5, high: 2.0}\n"
    config = load(OWN, (SEARCHED, ""), (ALPHA, margin))
    taught = config.trial_config({"distillation.options.margin": 1.5}).distillation
    assert isinstance(taught, ImportDistillation)
    assert taught.options == {"margin": 1.5}


@pytest.mark.parametrize(
    ("section", "edits", "phrases"),
    [
        (OWN, [], ["search.temperature: the loss of `kind: import` has no such field; ",
                   "search.alpha: the loss of `kind: import` has no such field; "]),
        ("distillation: {temprature: 2.0}\n", [],
         ["distillation.temprature: unknown key", "did you mean 'temperature'?"]),
        ("distillation: {temperature: 0}\n", [], ["distillation.temperature: ", "above 0"]),
        ("distillation: {alpha: 1.5}\n", [], ["distillation.alpha: ", "at most 1.0"]),
        ("distillation: {kind: kld}\n", [], ["distillation.kind: ", "kd and import"]),
        ("distillation: {kind: import}\n", [], ["distillation.target: is missing"]),
        ("distillation: 3\n", [], ["distillation: "]),
        ("distillation: {ensemble_size: 9}\n", [(SIZES, "")],
         ["distillation.ensemble_size: 9 teachers are asked for, but teacher.members is 4"]),
        ("distillation: {alpha: 1.0}\n", [(ALPHA, "")],
         ["search.temperature: has no effect while alpha is fixed to 1",
          "search.ensemble_size: has no effect while alpha is fixed to 1"]),
        ("", [("  alpha:", "  distillation.alpha:"), (SIZES, SIZES + ALPHA)],
         ["search.alpha: is the same field as 'distillation.alpha'"]),
        ("", [(SIZES, SIZES + "  distillation.options.x: {role: fixed, value: 1}\n")],
         ["search.distillation.options.x: the loss of `kind: kd` has no such field"]),
        ("", [(SIZES, SIZES + A_RANGE)],
         ["search.distillation.ensemble_mode: is not a number", "[logit_mean, prob_mean]"]),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_each(
    load: Load, section: str, edits: list[tuple[str, str]], phrases: list[str]
) -> None:
    found = problems(load, section, *edits)
    for phrase in phrases:
        assert any(phrase in sentence for sentence in found), found
    assert len(found) <= len(phrases)
