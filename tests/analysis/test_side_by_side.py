"""Several studies on one page."""

import csv
import dataclasses

import pytest
from synthetic import make_results, study_config

from kdsearch.analysis import ANSWERS, Context
from kdsearch.analysis.drawing.style import figure_style
from kdsearch.analysis.side_by_side.report import write_side_by_side
from kdsearch.analysis.side_by_side.studies import (
    compute_studies,
    studies_figure,
    studies_table,
    study_notes,
)
from kdsearch.errors import UserInputError
from kdsearch.results import Results

pytestmark = pytest.mark.slow


def named(name: str, **changes) -> Results:
    config = study_config(name=name, **changes)
    results = make_results(widths=(8, 16, 32, 64, 128), trials=6, config=config)
    trials = tuple(t.model_copy(update={"study": name}) for t in results.trials)
    return dataclasses.replace(results, trials=trials)


def contexts(*several: Results) -> list[Context]:
    return [Context(results) for results in several]


def test_one_page_has_the_answers_and_the_students_of_all(tmp_path):
    several = [named("one"), named("two", data={"kind": "digits"}, student={"kind": "mlp"},
                                   teacher={"model": {"kind": "mlp"}, "members": 4})]  # fmt: skip
    html = write_side_by_side(several, tmp_path / "one+two")
    text = html.read_text()
    studies = compute_studies(contexts(*several), ANSWERS)
    for study in studies:
        assert study.answer in text
        assert f'href="../{study.name}/report.html"' in text
    assert text.count("one, width 8") == 1  # one point of one figure
    assert "The studies differ in their data: " in text
    with (html.parent / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["study"] for row in rows} == {"one", "two"}
    assert len(rows) == sum(len(results.trials) for results in several)
    assert {p.name for p in (html.parent / "figures").iterdir()} == {
        "capacity.png",
        "capacity.svg",
    }


def test_the_table_has_a_row_for_each_study():
    studies = compute_studies(contexts(named("one"), named("two", seed=1)), ANSWERS)
    table = studies_table(studies)
    assert [row[0] for row in table.rows] == ["one", "two"]
    chosen = studies[0].finding.recommended
    assert chosen is not None
    assert table.rows[0][1] == chosen.label
    assert table.rows[0][4] == "5"
    assert study_notes(studies) == []  # another seed is no other study


def test_studies_without_a_common_axis_are_refused():
    loss = named("loss", study={"metric": "log_loss"})
    with pytest.raises(UserInputError, match="no common axis: one of accuracy and loss of loss"):
        compute_studies(contexts(named("one"), loss), ANSWERS)
    with pytest.raises(UserInputError, match="at most 8"):
        compute_studies(contexts(named("one")) * 9, ANSWERS)


def test_studies_without_sizes_cannot_be_drawn():
    lone = dataclasses.replace(
        named("lone"), trials=tuple(t for t in named("lone").trials if t.width == 8)
    )
    studies = compute_studies(contexts(lone), ANSWERS)
    with figure_style(), pytest.raises(UserInputError, match="several sizes to draw a curve"):
        studies_figure(studies)
