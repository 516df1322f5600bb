"""What every answer of the report must do: speak of any study, of what is in its records alone."""

import contextlib
import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import matplotlib.pyplot as plt
import pytest

from kdsearch.analysis import ANSWERS, Answer, Context, write_report
from kdsearch.analysis.answer import Answers, answer_documents, answer_figures, answer_sentences
from kdsearch.analysis.drawing import style
from kdsearch.results import Results
from kdsearch.study.run import run_study
from kdsearch.testing.small_study import small_study
from kdsearch.tracking import Sink

STATES = ("finished", "by another metric", "one replicate", "searched", "failed", "begun")
"""In which an answer may meet a study."""


class AnswerContract:
    """Subclass it and give it a fixture `answer`. Override `results` for a study that it is about.

    Its texts and numbers may say anything; they must say the same of the same records, be
    sentences and JSON, and not break the report of a study that has only begun.
    """

    @pytest.fixture
    def answer(self) -> Answer[Any]:
        """The answer under test."""
        raise NotImplementedError

    @pytest.fixture
    def beside(self) -> Answers:
        """The other answers of its report."""
        return ANSWERS

    @pytest.fixture
    def results(self) -> Results:
        """A finished study: two widths, both arms, two replicates. Trained once for all tests."""
        return finished_study()

    @pytest.fixture(params=STATES)
    def met(self, request: pytest.FixtureRequest, results: Results) -> Results:
        """The study in one of its states."""
        return in_state(results, request.param)

    def test_it_says_sentences(self, answer: Answer[Any], met: Results) -> None:
        """Whole ones, each on one line; or nothing."""
        for sentence in answer_sentences(Context(met), (answer,)):
            assert sentence == " ".join(sentence.split())
            assert sentence[0].isupper() or sentence[0].isdigit()
            assert sentence.endswith((".", ".)"))

    def test_its_document_is_json(self, answer: Answer[Any], met: Results) -> None:
        """Without NaN, under the keys that it names."""
        document = answer_documents(Context(met), (answer,))
        assert list(document) == list(answer.keys)
        text = json.dumps(document, allow_nan=False)
        assert json.loads(text).keys() == document.keys()

    def test_its_sections_are_drawn_or_say_why_not(
        self, answer: Answer[Any], met: Results
    ) -> None:
        """A section without figure and table says what is missing; pyplot holds nothing after."""
        before = plt.get_fignums()
        with style.figure_style():
            for section in answer_figures(Context(met), (answer,)):
                assert section.title
                assert section.figure is not None or section.table is not None or section.missing
        assert plt.get_fignums() == before

    def test_it_follows_from_the_records(self, answer: Answer[Any], results: Results) -> None:
        """Asked of the same study again, after another: the same words and numbers."""
        said = []
        for known in (results, in_state(results, "searched"), results):
            context = Context(known)
            document = json.dumps(answer_documents(context, (answer,)))
            said.append((answer_sentences(context, (answer,)), document))
        assert said[0] == said[2]

    def test_it_stands_in_a_report(
        self, answer: Answer[Any], beside: Answers, results: Results, tmp_path: Path
    ) -> None:
        """Under names of its own; the others say what they said."""
        with_it = (*beside, answer)
        report = write_report(results, tmp_path / "with", answers=with_it)
        alone = write_report(results, tmp_path / "without", answers=beside)
        said = {*report.finding, *report.details}
        assert {*alone.finding, *alone.details} <= said
        assert set(answer_sentences(Context(results), (answer,))) <= said
        document = json.loads((tmp_path / "with" / "results.json").read_text())
        assert set(answer.keys) <= document.keys()


@cache
def finished_study() -> Results:
    """A real study of a few seconds, in a folder that is gone afterwards."""
    config = small_study(training__epochs=3, budget__trials=4, confirm__candidates=2)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        return run_study(config, workers=0, sink=cast(Sink, _Nowhere())).results


class _Nowhere:
    """A sink that keeps nothing, whatever it is told."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_named: None


def in_state(results: Results, state: str) -> Results:
    """A finished study as it would be met in one of `STATES`."""
    search = results.select(stage="search")
    match state:
        case "by another metric":
            study = results.config.study.model_copy(update={"metric": "loss"})
            config = results.config.model_copy(update={"study": study})
            return replace(results, config=config)
        case "one replicate":
            kept = tuple(t for t in results.trials if t.replicate <= 1)
            return replace(results, trials=kept)
        case "searched":
            return replace(results, trials=search)
        case "failed":
            update = {"state": "FAIL", "val": None, "failure": "it was made to"}
            return replace(results, trials=tuple(t.model_copy(update=update) for t in search))
        case "begun":
            return replace(results, trials=(), banks=(), importance={}, chosen=())
        case _:
            return results
