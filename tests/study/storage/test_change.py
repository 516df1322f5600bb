"""What may change between two runs of a study."""

import pytest

from kdsearch.config import StudyConfig
from kdsearch.errors import StudyChangedError
from kdsearch.study.storage.change import as_begun, refuse_change
from kdsearch.testing.small_study import small_study


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"budget__trials": 100},
        {"budget__max_failures": 1},
        {"confirm__replicates": 7},
        {"tracking__models": "all"},
        {"question": "What else?"},
        {"storage": "sqlite:///elsewhere.db"},
    ],
)
def test_more_of_the_same_is_welcome(changes: dict[str, object]) -> None:
    refuse_change(small_study(), small_study(**changes))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"search__alpha__high": 0.5}, "search.alpha.high: 1.0 -> 0.5"),
        ({"search__width__values": [4, 16]}, "search.width.values: [4, 8] -> [4, 16]"),
        ({"seed": 1}, "seed: 0 -> 1"),
        ({"training__epochs": 10}, "training.epochs: 9 -> 10"),
        ({"budget__generation": 5}, "budget.generation: 4 -> 5"),
        ({"data": {"kind": "mnist1d"}}, "data.kind: digits -> mnist1d"),
        ({"data": {"kind": "mnist1d"}}, "data.test_samples: (absent) -> 10000"),
        ({"pruner": {"kind": "median"}}, "pruner.kind: none -> median"),
        ({"student__depth": 2}, "student.depth: 1 -> 2"),
        ({"student__dropout": 0.5}, "student.dropout: 0.0 -> 0.5"),
        ({"student__max_norm": 2.0}, "student.max_norm: None -> 2.0"),
        ({"training__keep": "last"}, "training.keep: best -> last"),
        ({"teacher__augment": "none"}, "teacher.augment: data -> none"),
        ({"teacher__augment": {"shift": 1}}, "teacher.augment.shift: (absent) -> 1"),
        (
            {"data__transfer": {"omit_classes": [3]}},
            "data.transfer.omit_classes: (absent) -> [3]",
        ),
        ({"confirm__refit": True}, "confirm.refit: False -> True"),
    ],
)
def test_another_study_is_refused_with_the_lines_that_differ(
    changes: dict[str, object], line: str
) -> None:
    with pytest.raises(StudyChangedError) as refused:
        refuse_change(small_study(), small_study(**changes))
    assert f"  {line}" in str(refused.value).splitlines()


def left_open() -> StudyConfig:
    """A file that leaves to kdsearch what it may."""
    return small_study(sampler={"startup_trials": 3})


def test_what_a_file_leaves_open_stays_as_the_study_began() -> None:
    old = small_study(pruner={"kind": "halving", "min_epochs": 1}, confirm__choose_by="score")
    new = left_open()
    assert (new.sampler_kind, new.pruner.kind) == ("surface", "none")
    with pytest.raises(StudyChangedError):
        refuse_change(old, new)
    goes_on = as_begun(old, new)
    refuse_change(old, goes_on)
    assert (goes_on.sampler_kind, goes_on.pruner.kind) == ("tpe", "halving")
    assert (goes_on.pruner.min_epochs, goes_on.confirm.choose_by) == (1, "score")
    more = as_begun(old, new.model_copy(update={"budget": small_study(budget__trials=9).budget}))
    refuse_change(old, more)
    assert more.budget.trials == 9
    assert as_begun(new, new) == new
    assert as_begun(new, left_open()).sampler.kind is None


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"sampler": {"kind": "surface"}}, "sampler.kind: tpe -> surface"),
        ({"pruner": {"kind": "none"}}, "pruner.kind: halving -> none"),
        ({"pruner": {"min_epochs": 3}}, "pruner.min_epochs: 1 -> 3"),
        ({"confirm__choose_by": "surface"}, "confirm.choose_by: score -> surface"),
    ],
)
def test_what_a_file_says_is_not_overruled(changes: dict[str, object], line: str) -> None:
    old = small_study(pruner={"kind": "halving", "min_epochs": 1}, confirm__choose_by="score")
    with pytest.raises(StudyChangedError) as refused:
        refuse_change(old, as_begun(old, small_study(**changes)))
    assert f"  {line}" in str(refused.value).splitlines()


def test_a_parameter_that_comes_or_goes_is_named() -> None:
    longer = small_study()
    search = {k: v for k, v in longer.model_dump(mode="json")["search"].items() if k != "alpha"}
    shorter = longer.model_copy(
        update={"search": {k: longer.search[k] for k in search}}, deep=True
    )
    with pytest.raises(StudyChangedError, match=r"search\.alpha\.low: 0\.0 -> \(absent\)"):
        refuse_change(longer, shorter)
    with pytest.raises(StudyChangedError, match=r"search\.alpha\.low: \(absent\) -> 0\.0"):
        refuse_change(shorter, longer)
