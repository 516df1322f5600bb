"""Answers that users pass in: the worked example of the documentation, and what is refused."""

import json

import pytest
from synthetic import make_results

import kdsearch
from kdsearch.analysis import ANSWERS, Answer, Context, ReportFigure, Table, write_report
from kdsearch.analysis.answer import answer_documents, answer_figures, answer_sentences
from kdsearch.errors import UserInputError
from tests.docs.pages import blocks

PAGE = "extending/answer.md"


@pytest.fixture(scope="module")
def small():
    return make_results(widths=(8, 16), trials=4, replicates=3)


@pytest.mark.slow
def test_the_worked_example_is_in_finding_page_figures_and_document(small, tmp_path, monkeypatch):
    example: dict = {}
    for block in blocks(PAGE, "python"):
        exec(block, example)
    monkeypatch.setattr(kdsearch, "load_results", lambda _study: small)
    write_report(small, tmp_path / "plain")
    example["write"]("temp-alpha", tmp_path / "r")
    plain, document = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("plain", "r")
    )
    tests = [t.test.accuracy for t in small.select(stage="confirm", arm="distilled")
             if t.width == 8]  # fmt: skip
    assert document["scatter"]["width 8"] == pytest.approx(max(tests) - min(tests))
    said = [*document["finding"], *document["details"]]
    assert said[:-1] == [*plain["finding"], *plain["details"]]
    assert said[-1].startswith("Single trainings differ by up to ")
    assert [key for key in document if key != "scatter"] == list(plain), "the rest is as it was"
    page = (tmp_path / "r" / "report.html").read_text()
    assert said[-1] in page
    assert page.index("Learning curves") < page.index("One training or another")
    assert "Confirmed students, test set." in page
    figures = {p.name for p in (tmp_path / "r" / "figures").iterdir()}
    assert {"scatter.png", "scatter.svg"} <= figures
    assert not (tmp_path / "plain" / "figures" / "scatter.png").exists()


class Plain(Answer[int]):
    """Says what it is told to."""

    name = "plain"
    keys = ("plain",)

    def __init__(self, number=1, *, rank=100, key="plain"):
        self.number, self.finding_rank, self.given = number, rank, key
        self.computed = 0

    def compute(self, context):
        self.computed += 1
        return self.number

    def sentences(self, info, context):
        return (f"The number is {info}.", "")

    def figures(self, info, context):
        table = Table(("a",), ((str(info),),), caption="a caption of its own")
        return (ReportFigure("plain", "Plain", "Only a table.", None, "", table),)

    def document(self, info, context):
        return {self.given: info}


def test_an_answer_computes_once_and_may_be_asked_by_others(small):
    first, context = Plain(7), Context(small)

    class Double(Plain):
        def compute(self, context):
            return 2 * context.of(first.compute)

    answers = (first, Double(rank=1))
    assert answer_sentences(context, answers) == ("The number is 14.", "The number is 7.")
    answer_figures(context, answers[:1])
    answer_documents(context, answers[:1])
    assert first.computed == 1


def test_nothing_computed_is_null_and_asks_no_more(small):
    context, silent = Context(small), Plain(None)
    assert answer_documents(context, (silent,)) == {"plain": None}
    assert answer_sentences(context, (silent,)) == ()
    assert answer_figures(context, (silent,)) == []


def test_a_table_needs_no_figure(small, tmp_path):
    page = write_report(small, tmp_path / "r", answers=(Plain(),)).html.read_text()
    section = page[page.index('id="plain"') :]
    section = section[: section.index("</section>")]
    assert "Only a table." in section
    assert "a caption of its own" in section
    assert "<figure>" not in section
    assert 'class="missing"' not in section


def test_few_answers_make_a_short_report(small, tmp_path):
    report = write_report(small, tmp_path / "r", answers=())
    assert len(report.finding) == 1
    assert list((tmp_path / "r" / "figures").iterdir()) == []
    assert "saturation" not in json.loads((tmp_path / "r" / "results.json").read_text())


def test_names_that_are_taken_are_refused_and_leave_the_old_report(small, tmp_path):
    write_report(small, tmp_path / "r", answers=())
    before = (tmp_path / "r" / "results.json").read_bytes()
    taken = Plain(key="strata")
    taken.keys = ("strata",)
    for answers, words in (
        ((Plain(), Plain()), "two answers have the figure plain: rename one of them"),
        ((Plain(key="other"),), r"gives \['other'\], which its keys do not name"),
        ((taken,), r"results\.json has strata of its own"),
    ):
        with pytest.raises(UserInputError, match=words):
            write_report(small, tmp_path / "r", answers=answers)
    with pytest.raises(UserInputError, match=r"key of results\.json plain"):
        answer_documents(Context(small), (Plain(), Plain()))
    assert (tmp_path / "r" / "results.json").read_bytes() == before


def test_ours_have_names_and_keys_of_their_own():
    assert len({a.name for a in ANSWERS}) == len(ANSWERS)
    keys = [key for a in ANSWERS for key in a.keys]
    assert len(set(keys)) == len(keys)
