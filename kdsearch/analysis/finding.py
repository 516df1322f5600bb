"""What the study found and what to do, in plain sentences."""

from typing import NamedTuple

from kdsearch.analysis import wording
from kdsearch.analysis.answer import Answers, answer_sentences
from kdsearch.analysis.answers.capacity.capacity import CAPACITY
from kdsearch.analysis.context import Context
from kdsearch.analysis.recommendation import (
    accuracy_words,
    every_failure,
    recommendation_in,
    varying_size,
)
from kdsearch.analysis.stratum import Stratum
from kdsearch.analysis.teachers import TeachersInfo


class FindingInfo(NamedTuple):
    """The report's first lines."""

    question: str
    finding: tuple[str, ...]
    """How accurate the students are, then what each answer adds."""
    recommendation: str
    recommended: Stratum | None
    champion: Stratum | None
    """The stratum whose student the study registers."""
    keeps_up: bool
    """Whether any tested student comes near its teachers."""


def compute_finding(context: Context, answers: Answers) -> FindingInfo:
    """The sentences of a study, also of an unfinished one."""
    advice = context.of(recommendation_in)
    return FindingInfo(
        question=context.results.config.question_text,
        finding=(_accuracy_sentence(context), *answer_sentences(context, answers)),
        recommendation=advice.text,
        recommended=advice.recommended,
        champion=advice.champion,
        keeps_up=advice.keeps_up,
    )


def _accuracy_sentence(context: Context) -> str:
    info, confirmed = context.strata, context.strata.confirmed
    saturation = context.of(CAPACITY.compute).saturation.clause
    if not confirmed:
        if failed := every_failure(context.results):
            return f"Nothing can be said about test accuracy: {failed}."
        done = sum(s.distilled is not None for s in info.strata)
        return (
            f"Nothing is confirmed yet ({done} of {len(info.strata)} strata have a complete "
            "search trial), so nothing can be said about test accuracy."
            if info.strata
            else "Nothing is confirmed yet, so nothing can be said about test accuracy."
        )
    reference = _reference(context.teachers)
    replicated = any(s.distilled and len(s.distilled.replicates) > 1 for s in confirmed)
    n = wording.span([len(s.distilled.replicates) for s in confirmed if s.distilled])
    meaning = f" (± is one standard error, n = {n} replicates)" if replicated else ""
    if len(confirmed) == 1:
        only = confirmed[0]
        name = f"at {only.label} " if only.label else ""
        reached = f"{accuracy_words(only)} on the test set"
        return f"The distilled student {name}reaches {reached}{reference}{meaning}."
    if varying_size(confirmed):
        ordered = sorted(confirmed, key=lambda s: s.num_params or 0)
        first, last = ordered[0], ordered[-1]
        sentence = (
            f"Distilled students reach {accuracy_words(first)} at {_sized(first)} and "
            f"{accuracy_words(last)} at {_sized(last)}{reference}{meaning}"
        )
    else:
        ordered = sorted(confirmed, key=_mean)
        sentence = (
            f"Test accuracy is highest at {ordered[-1].label} ({accuracy_words(ordered[-1])}) and "
            f"lowest at {ordered[0].label} ({accuracy_words(ordered[0])}){reference}{meaning}"
        )
    return f"{sentence}; {saturation}." if saturation else f"{sentence}."


def _reference(teachers: TeachersInfo) -> str:
    if len(teachers.banks) != 1:
        return ""
    bank = teachers.banks[0]
    full = bank.full_ensemble
    if full is not None and full.size > 1 and full.test is not None:
        return f", beside {wording.percent(full.test)} for the ensemble of {full.size} teachers"
    if bank.mean_member_test is not None:
        return f", beside {wording.percent(bank.mean_member_test)} for the teacher"
    return ""


def _sized(stratum: Stratum) -> str:
    return f"{stratum.label} ({wording.count(stratum.num_params)} parameters)"


def _mean(stratum: Stratum) -> float:
    assert stratum.distilled is not None
    assert stratum.distilled.test_accuracy is not None
    return stratum.distilled.test_accuracy.mean
