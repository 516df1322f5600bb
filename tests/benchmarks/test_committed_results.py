"""What README says of the results in the repository is what today's code makes of them."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.predict_largest import curves, predictions
from kdsearch.analysis import fit_capacity_curve, wording

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"
MLPS_OF_CNNS = ROOT / "benchmarks" / "results" / "fashion_mlp_of_cnn.csv"
"""All of Fashion-MNIST, nine widths, five replicates: MLPs of convolutional teachers."""


def read(study: str) -> dict[str, Any]:
    return json.loads((REPORTS / study / "results.json").read_text())


def text_of(page: str) -> str:
    return " ".join((ROOT / page).read_text().split())


def widths(table: Path) -> dict[float, float]:
    """Parameters to width."""
    with table.open() as file:
        return {float(r["num_params"]): float(r["width"]) for r in csv.DictReader(file)}


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
@pytest.mark.parametrize("study", ["capacity", "fashion-capacity"])
def test_pages_say_where_size_saturates(study: str, page: str) -> None:
    found, words = read(study)["saturation"], text_of(page)
    assert found["verdict"] == "saturated"
    low, high = (wording.count(end) for end in found["saturation_interval"])
    at = wording.count(found["saturation_num_params"])
    assert f"saturates at {at} parameters (90 % interval {low} to {high})" in words
    table = REPORTS / study / "results.csv"
    enough = widths(table)[found["enough_num_params"]]
    most = wording.gained(found["gain_from_enough"][2])
    assert f"from width {enough:.0f} on, larger students gain at most {most} points" in words


def test_readme_says_that_convolutional_students_are_still_rising() -> None:
    found, words = read("fashion-cnn"), text_of("README.md")
    assert found["saturation"]["verdict"] == "not_saturated"
    last = found["saturation"]["reason"].removeprefix("still rising: ").partition(" (")[0]
    assert last.startswith("the last doubling of size gained ")
    assert last in words
    helped = next(s for s in found["finding"] if s.startswith("Distillation helps"))
    assert helped.startswith("Distillation helps at width 6, 12 and 16 (+0.4 to +0.6 points)")


@pytest.mark.parametrize("study", ["capacity", "fashion-capacity", "fashion-cnn"])
def test_readme_says_what_the_recommended_student_keeps(study: str) -> None:
    found, words = read(study), text_of("README.md")
    assert found["command"] == f"kdsearch study run studies/{study.replace('-', '_')}.yaml"
    width = found["recommended_stratum"]["width"]
    recommended = found["recommendation"].split(";")[0]
    assert recommended.startswith(f"Width {width} ")
    kept = recommended.partition(") ")[2].partition(" (")[0]  # keeps 99.0 % of ..., is better than
    assert f"Width {width}, " in words
    assert kept in words


@pytest.mark.parametrize("study", ["capacity", "fashion-capacity"])
def test_the_table_alone_puts_saturation_at_that_size(study: str) -> None:
    """It knows neither the other candidates nor the draw of test examples, so not the verdict."""
    found = read(study)["saturation"]
    points = dict(curves(REPORTS / study / "results.csv"))[f"{study}, distilled"]
    fit = fit_capacity_curve(list(points), list(points.values()), tolerance=found["tolerance"])
    octaves = np.log2(fit.saturation_size / found["saturation_num_params"])
    assert octaves == pytest.approx(0, abs=0.3)


def test_the_verdict_on_mlps_of_convolutional_teachers_is_what_anybody_sees() -> None:
    points = dict(curves(MLPS_OF_CNNS))["fashion_mlp_of_cnn, distilled"]
    fit = fit_capacity_curve(list(points), list(points.values()))
    by_size = widths(MLPS_OF_CNNS)
    assert fit.verdict == "saturated"
    assert fit.enough_size is not None
    assert by_size[fit.enough_size] == 512
    assert by_size[min(s for s in by_size if s > fit.saturation_interval[0])] == 128
    assert by_size[max(s for s in by_size if s < fit.saturation_interval[1])] == 256


@pytest.mark.slow
def test_each_size_is_predicted_from_those_below_it() -> None:
    tables = [MLPS_OF_CNNS, *sorted(REPORTS.glob("*/results.csv"))]
    found = [p for t in tables for name, points in curves(t) for p in predictions(name, points)]
    assert len(found) > 20
    assert sum(p.holds for p in found) >= 0.85 * len(found)
    assert all(p.low < p.high for p in found)
