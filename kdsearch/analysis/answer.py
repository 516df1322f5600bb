"""A question of the report, whole: its numbers, and what finding, page and results.json say."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from kdsearch.analysis.context import Context
from kdsearch.analysis.drawing.report_figure import ReportFigure
from kdsearch.config.question import Asks
from kdsearch.errors import UserInputError

Info = TypeVar("Info")
LAST = 100


class Answer(Protocol[Info]):
    """Derive from it and say as much as the question needs; `docs/extending/answer.md` shows one.

    Whatever it shows comes from `compute`, so that numbers are tested without a picture. Where
    `compute` gives None the study does not ask, and nothing else is called.
    """

    name: str
    """One word, told in errors."""
    keys: tuple[str, ...] = ()
    """What it adds to results.json; null where it has nothing to say."""
    asked: tuple[Asks, ...] = ()
    """The kinds of question that its `lead` answers; where a study asks one of them, its figures
    come first."""
    finding_rank: int = LAST
    """Where its sentences stand in the finding: lower comes first, equals as in the tuple."""
    document_rank: int = LAST
    """Where its keys stand in results.json."""

    def compute(self, context: Context) -> Info | None:
        """The numbers; those of another answer are `context.of(OTHER.compute)`."""
        ...

    def lead(self, info: Info, context: Context) -> str:
        """The answer to the study's question in one sentence; empty where it is not known."""
        return ""

    def sentences(self, info: Info, context: Context) -> Sequence[str]:
        """For the finding; empty ones are left out."""
        return ()

    def figures(self, info: Info, context: Context) -> Sequence[ReportFigure]:
        """Sections of the page: a figure, a table, or both. Called inside `style.figure_style`."""
        return ()

    def document(self, info: Info, context: Context) -> Mapping[str, Any]:
        """JSON-ready values of `keys`, accuracies as fractions, without NaN."""
        return {}


Answers = Sequence[Answer[Any]]


def answers_asked(context: Context, answers: Answers) -> list[Answer[Any]]:
    """Those that answer the study's own question."""
    kind = context.results.config.asks
    return [answer for answer in answers if kind in answer.asked]


def lead_sentence(context: Context, answers: Answers) -> str:
    """The answer to the study's question; empty where none of the answers knows it.

    Where several do, the last one leads: one that a user adds replaces ours.
    """
    for answer in reversed(answers_asked(context, answers)):
        info = context.of(answer.compute)
        if info is not None and (sentence := answer.lead(info, context)):
            return sentence
    return ""


def answer_sentences(context: Context, answers: Answers) -> tuple[str, ...]:
    """What the answers add to the finding: first those of the answers to the study's question."""
    asked = answers_asked(context, answers)
    ordered = sorted(answers, key=lambda answer: (answer not in asked, answer.finding_rank))
    return tuple(
        sentence
        for answer in ordered
        if (info := context.of(answer.compute)) is not None
        for sentence in answer.sentences(info, context)
        if sentence
    )


def answer_figures(context: Context, answers: Answers) -> list[ReportFigure]:
    """The sections of the page: those of the study's question, then in the order of the answers.

    Raises:
        UserInputError: Two figures have one name, so one file would replace the other.
    """
    asked = answers_asked(context, answers)
    figures = [
        figure
        for answer in sorted(answers, key=lambda answer: answer not in asked)
        if (info := context.of(answer.compute)) is not None
        for figure in answer.figures(info, context)
    ]
    _refuse_twice("figure", [figure.name for figure in figures])
    return figures


def answer_documents(context: Context, answers: Answers) -> dict[str, Any]:
    """What the answers add to results.json.

    Raises:
        UserInputError: Two answers give the same key, or one gives a key that it does not name.
    """
    _refuse_twice("key of results.json", [key for answer in answers for key in answer.keys])
    found: dict[str, Any] = {}
    for answer in sorted(answers, key=lambda answer: answer.document_rank):
        info = context.of(answer.compute)
        document = {} if info is None else answer.document(info, context)
        if unknown := document.keys() - set(answer.keys):
            raise UserInputError(
                f"the answer {answer.name} gives {sorted(unknown)}, which its keys do not name"
            )
        found |= {key: document.get(key) for key in answer.keys}
    return found


def _refuse_twice(what: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise UserInputError(f"two answers have the {what} {', '.join(twice)}: rename one of them")
