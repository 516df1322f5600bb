"""Whether loss, teachers and search fit together."""

from collections.abc import Iterator, Mapping

from kdsearch.config.distillation import DistillationConfig, needs_teacher
from kdsearch.config.problem import Problem
from kdsearch.config.search import SearchParameter
from kdsearch.config.search_space import numbers_given
from kdsearch.config.trial import SHORT_NAMES, TeacherConfig


def ensemble_has_its_members(
    search: Mapping[str, SearchParameter],
    distillation: DistillationConfig,
    teacher: TeacherConfig,
) -> Iterator[Problem]:
    """No more teachers are asked for than there are."""
    searched = numbers_given(search, "distillation.ensemble_size")
    sizes = [(f"search.{name}.{end}", value) for name, end, value in searched]
    if not sizes and distillation.ensemble_size is not None:
        sizes = [("distillation.ensemble_size", distillation.ensemble_size)]
    for key, value in sizes:
        if value > teacher.members:
            yield Problem(
                key,
                f"{value} teachers are asked for, but teacher.members is {teacher.members}; "
                f"allowed is at most {teacher.members}, or raise teacher.members",
            )


def alpha_leaves_something_to_teach(
    search: Mapping[str, SearchParameter], distillation: DistillationConfig
) -> Iterator[Problem]:
    """Nothing of the teachers' is searched where they are not heard."""
    targets = {SHORT_NAMES.get(name, name): name for name in search}
    own = targets.get("distillation.alpha")
    alpha = distillation.number("alpha") if own is None else search[own].value
    if not isinstance(alpha, int | float) or needs_teacher(alpha):
        return
    for target, name in targets.items():
        is_taught = target.startswith(("distillation.", "teacher."))
        if is_taught and name != own and search[name].role != "fixed":
            yield Problem(
                f"search.{name}",
                "has no effect while alpha is fixed to 1 (hard labels only); lower alpha, or "
                "take this parameter out",
            )
