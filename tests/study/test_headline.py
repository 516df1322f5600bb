"""Real small studies under another headline metric: champion's tags, and a ladder's climb."""

import json
import math
import statistics
from pathlib import Path

import mlflow
import pytest

from kdsearch import load_study, run_study
from kdsearch.config import StudyConfig
from kdsearch.results import TrialRecord, sizes_tried
from kdsearch.results.headline import score
from kdsearch.study.ladder import climb
from kdsearch.study.run import StudyResult
from tests.conftest import SMALL_STUDY, WriteStudy
from tests.study.test_ladder import climbed, ladder_config

pytestmark = pytest.mark.slow

ONE_WIDTH = {"role": "fixed", "value": 8}
LADDER = {"start": 2, "max": 64}


def tags_of(result: StudyResult) -> dict[str, str]:
    """Of the model that the study has registered."""
    client = mlflow.MlflowClient()
    found = client.get_model_version_by_alias(result.name, "champion")
    assert result.champion is not None
    assert found.tags["kdsearch.key"] == result.champion.key
    return dict(found.tags)


def assert_tags(tags: dict[str, str], metric: str, result: StudyResult) -> None:
    champion = result.champion
    assert champion is not None
    assert champion.test is not None
    runs = [
        value
        for r in result.results.select(stage="confirm", arm="distilled", state="COMPLETE")
        if r.trial == champion.trial
        and r.test is not None
        and (value := r.test.value(metric)) is not None
    ]
    assert len(runs) == 2
    assert float(tags[f"test_{metric}"]) == pytest.approx(champion.test.value(metric), abs=1e-6)
    assert float(tags[f"test_{metric}_mean"]) == pytest.approx(statistics.fmean(runs), abs=1e-6)
    error = statistics.stdev(runs) / math.sqrt(2)
    assert float(tags[f"test_{metric}_se"]) == pytest.approx(error, abs=1e-6)


def test_the_champions_tags_have_the_headline_beside_accuracy(write_study: WriteStudy) -> None:
    path = write_study(
        name="tagged",
        study={"metric": "brier"},
        search__width=ONE_WIDTH,
        budget__trials=2,
        training__epochs=2,
        tracking={"models": "confirmed"},
    )
    result = run_study(load_study(path), workers=0)
    tags = tags_of(result)
    for metric in ("brier", "accuracy"):
        assert_tags(tags, metric, result)
    assert tags["replicates"] == "2"
    objective = result.results.config.objective[0]
    assert objective.metric == "val_accuracy", "which chooses, whatever the headline"
    chosen = result.results.select(stage="confirm", arm="distilled")
    best = max(r.val.accuracy for r in chosen if r.val is not None)
    assert result.champion is not None
    assert result.champion.val is not None
    assert result.champion.val.accuracy == best

    again = run_study(load_study(path, ["study.metric=auroc"]), workers=0)
    assert again.new_trials == 0
    assert_tags(tags_of(again), "auroc", again)
    summary = again.report.metrics
    assert summary["best_test_auroc"] == pytest.approx(float(tags_of(again)["test_auroc_mean"]))


@pytest.mark.parametrize("metric", ["loss", "f1_macro"])
def test_a_ladder_climbs_by_the_headline(metric: str, write_study: WriteStudy) -> None:
    search = {name: p for name, p in SMALL_STUDY["search"].items() if name != "width"}
    path = write_study(
        name="climbs",
        study={"metric": metric, "tolerance": "10%", "ladder": LADDER},
        search=search,
        budget__trials=1,
        training__epochs=3,
        confirm={"replicates": 2, "candidates": 1, "baseline": False},
    )
    result = run_study(load_study(path), workers=0)
    results = result.results
    tried = sizes_tried(results.config, results.trials)
    assert tried[:5] == (2, 4, 8, 16, 32)
    document = json.loads(Path("reports/climbs/results.json").read_text())
    assert document["metric"]["name"] == metric
    assert document["ladder"]["order"] == list(tried)
    page = result.report.html.read_text()
    words = results.config.headline.words
    assert f"saturation is judged by validation {words}; the test values shown decide" in page
    values = [s["distilled"][f"test_{metric}"]["mean"] for s in document["strata"]]
    ends = values[0], values[-1]
    assert ends[0] > ends[1] > 0 if metric == "loss" else 0 < ends[0] < ends[1] <= 1
    assert run_study(load_study(path), workers=0).new_trials == 0


def with_metric(config: StudyConfig, metric: str) -> StudyConfig:
    study = config.study.model_copy(update={"metric": metric})
    return config.model_copy(update={"study": study})


def test_each_step_is_decided_by_the_scores_of_the_headline() -> None:
    """Accuracies saturate at once, losses fall for long: the ladder of losses goes higher."""
    config = ladder_config()
    asked, records = climbed(config, lambda _size: 0.9)
    assert max(asked[-1]) == 32

    def falling(record: TrialRecord) -> TrialRecord:
        assert record.val is not None
        val = record.val.model_copy(update={"loss": 1.0 - 0.05 * math.log2(record.width)})
        return record.model_copy(update={"val": val})

    by_loss = with_metric(config, "loss")
    assert by_loss.study.ladder is not None
    changed = [falling(record) for record in records]
    scored = [score(r.val, by_loss.headline) for r in changed]
    assert all(value is not None and value < 0 for value in scored)
    end = climb(by_loss, by_loss.study.ladder, changed)
    assert end.state == "climbing"
    assert max(end.sizes) == 64
    assert climb(config, config.study.ladder, changed).state == "saturated"
