"""Metrics in the study file: their names, their directions, and a user's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from study_text import changed

from kdsearch.config import METRICS, StudyConfig, load_study
from kdsearch.errors import StudyFileError

OBJECTIVE = "objective: {metric: val_accuracy, direction: maximize}\n"
OWN = 'metrics: {mine: {kind: import, target: "a:b", direction: minimize}}\n'
Load = Callable[[str], StudyConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def written(lines: str) -> StudyConfig:
        path = tmp_path / "study.yaml"
        path.write_text(changed((OBJECTIVE, lines)))
        return load_study(path)

    return written


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_metric_can_be_objective_and_headline_in_its_own_direction(load, metric) -> None:
    config = load(f"objective: {{metric: val_{metric.name}}}\nstudy: {{metric: {metric.name}}}\n")
    (objective,) = config.objective
    assert (objective.metric, objective.direction) == (f"val_{metric.name}", metric.direction)
    assert config.headline == metric
    stored = StudyConfig.model_validate_json(config.model_dump_json())
    assert stored == config


@pytest.mark.parametrize(("word", "name"), [("log_loss", "loss"), ("kl_to_teacher", "teacher_kl")])
def test_another_name_is_the_same_metric(load, word, name) -> None:
    config = load(f"objective: {{metric: val_{word}}}\nstudy: {{metric: {word}}}\n")
    assert config.objective[0].metric == f"val_{name}"
    assert config.headline.name == name


def test_a_file_of_before_the_table_means_what_it_did(load) -> None:
    config = load(OBJECTIVE)
    saved = config.model_dump(mode="json")
    del saved["metrics"], saved["study"]["metric"]
    assert StudyConfig.model_validate(saved | {"search": config.search}) == config
    assert config.headline.name == "accuracy"
    assert config.own_metrics == ()


def test_a_users_own_gives_its_direction_wherever_it_is_named(load) -> None:
    config = load(OWN + "objective:\n- {metric: val_mine}\n- {metric: macs}\n")
    assert [o.direction for o in config.objective] == ["minimize", "minimize"]
    (mine,) = config.own_metrics
    assert (mine.name, mine.words, mine.unit, mine.target) == ("mine", "mine", "plain", "a:b")
    assert list(config.metric_table) == [*METRICS, "mine"]


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ("objective: {metric: val_f1}\n", "objective.metric", "did you mean 'val_f1_macro'?"),
        ("objective: {metric: accuracy}\n", "objective.metric", "did you mean 'val_accuracy'?"),
        ("objective: {metric: val_mine}\n", "objective.metric", '"val_mine" is not known'),
        ("objective: {metric: 5}\n", "objective.metric", "must be text, not 5"),
        (OWN + "objective: {metric: val_mine, direction: maximize}\n", "objective.direction",
         "nobody wants to maximize val_mine; allowed is minimize"),
        ("objective: {metric: val_brier, direction: maximize}\n", "objective.direction",
         "allowed is minimize"),
        ("objective:\n- {metric: val_loss}\n- {metric: val_log_loss}\n", "objective.1.metric",
         "already an objective"),
        ("study: {metric: test_accuracy}\n", "study.metric", "did you mean 'accuracy'?"),
        (OWN.replace("mine", "log_loss"), "metrics.log_loss", "a metric of kdsearch's own"),
        (OWN.replace("mine", "Top5"), "metrics.Top5", "is not a name; allowed are small letters"),
        (OWN.replace("a:b", "a.b"), "metrics.mine.target", "allowed is module:callable"),
        (OWN.replace(", direction: minimize", ""), "metrics.mine.direction", "is missing"),
        (OWN.replace("kind: import", "kind: mean"), "metrics.mine.kind", "allowed is import"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_line(load, lines, key, message) -> None:
    with pytest.raises(StudyFileError) as caught:
        load(lines)
    (problem,) = caught.value.problems
    assert is_at(problem, key)
    assert message in problem


def is_at(problem: str, key: str) -> bool:
    """Whether a problem is at a key: `file:line: key: ...`."""
    return problem.split(": ")[1] == key
