"""What the study found and what to do, in plain sentences."""

from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answers, answer_sentences, lead_sentence
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.context import Context
from kdsearch.analysis.headline import Headline
from kdsearch.analysis.recommendation import (
    every_failure,
    recommendation_in,
    score_words,
    varying_size,
)
from kdsearch.analysis.stratum import Stratum
from kdsearch.analysis.teachers import TeachersInfo

MAX_POINTS = 3
"""Sentences beside the answer; what else was found stands further down."""


class FindingInfo(NamedTuple):
    """The report's first lines."""

    question: str
    answer: str
    """The answer to the question, in one sentence; what is known so far where it is not known."""
    points: tuple[str, ...]
    """What else matters, at most `MAX_POINTS`."""
    details: tuple[str, ...]
    """Everything else that was found."""
    recommendation: str
    recommended: Stratum | None
    champion: Stratum | None
    """The stratum whose student the study registers."""
    keeps_up: bool
    """Whether any tested student comes near its teachers."""

    @property
    def finding(self) -> tuple[str, ...]:
        """The answer and the points beside it."""
        return (self.answer, *self.points)

    @property
    def said(self) -> tuple[str, ...]:
        """All sentences, the most important first."""
        return (*self.finding, *self.details)


def compute_finding(context: Context, answers: Answers) -> FindingInfo:
    """The sentences of a study, also of an unfinished one."""
    advice = context.of(recommendation_in)
    lead = lead_sentence(context, answers)
    said = (_reach(context, lead), *answer_sentences(context, answers))
    answer, *rest = [s for s in dict.fromkeys((lead, *said)) if s]
    return FindingInfo(
        question=context.results.config.question_text,
        answer=answer,
        points=tuple(rest[:MAX_POINTS]),
        details=tuple(rest[MAX_POINTS:]),
        recommendation=advice.text,
        recommended=advice.recommended,
        champion=advice.champion,
        keeps_up=advice.keeps_up,
    )


def _reach(context: Context, lead: str) -> str:
    """How good the confirmed students are by the headline metric, or that none is known.

    The verdict on their size ends it, where that is not what `lead` says.
    """
    info, confirmed = context.strata, context.strata.confirmed
    headline = info.headline
    saturation = context.of(CAPACITY.compute).saturation.clause
    if saturation and lead == CAPACITY.lead(context.of(CAPACITY.compute), context):
        saturation = ""
    if not confirmed:
        if failed := every_failure(context.results):
            return f"Nothing can be said about test {headline.words}: {failed}."
        done = sum(s.distilled is not None for s in info.strata)
        return (
            f"Nothing is confirmed yet (search trials are complete at {done} of "
            f"{info.noun.numbered(len(info.strata))}), so nothing can be said about test "
            f"{headline.words}."
            if info.strata
            else f"Nothing is confirmed yet, so nothing can be said about test {headline.words}."
        )
    reference = _reference(context.teachers, headline)
    replicated = any(s.distilled and len(s.distilled.replicates) > 1 for s in confirmed)
    n = wording.span([len(s.distilled.replicates) for s in confirmed if s.distilled])
    meaning = f" (± is one standard error, n = {n} replicates)" if replicated else ""
    if len(confirmed) == 1:
        only = confirmed[0]
        name = f"at {only.label} " if only.label else ""
        where = " on the test set" if headline.is_accuracy else ""
        reached = f"{headline.article}{score_words(only, headline)}{where}"
        return f"The distilled student {name}reaches {reached}{reference}{meaning}."
    if varying_size(confirmed):
        ordered = sorted(confirmed, key=lambda s: s.num_params or 0)
        first, last = ordered[0], ordered[-1]
        low, high = (f"{score_words(s, headline)} at {_sized(s)}" for s in (first, last))
        sentence = (
            f"Distilled students reach {headline.article}{low} and {high}{reference}{meaning}"
        )
    else:
        worst, *_, best = sorted(confirmed, key=_mean)
        ends = ("lowest", "highest") if headline.is_minimised else ("highest", "lowest")
        sentence = (
            f"Test {headline.words} is {ends[0]} at {best.label} ({score_words(best, headline)}) "
            f"and {ends[1]} at {worst.label} ({score_words(worst, headline)}){reference}{meaning}"
        )
    return f"{sentence}; {saturation}." if saturation else f"{sentence}."


def _reference(teachers: TeachersInfo, headline: Headline) -> str:
    if len(teachers.banks) != 1:
        return ""
    bank = teachers.banks[0]
    full = bank.full_ensemble
    if full is not None and full.size > 1 and full.test is not None:
        return f", beside {headline.value(full.test)} for the ensemble of {full.size} teachers"
    if bank.mean_member_test is not None:
        return f", beside {headline.value(bank.mean_member_test)} for the teacher"
    return ""


def _sized(stratum: Stratum) -> str:
    return f"{stratum.label} ({wording.count(stratum.num_params)} parameters)"


def _mean(stratum: Stratum) -> float:
    assert stratum.distilled is not None
    assert stratum.distilled.test_score is not None
    return stratum.distilled.test_score.mean
