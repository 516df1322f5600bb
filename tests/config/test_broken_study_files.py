"""Every broken study file gives readable sentences with line, dotted key and what is allowed."""

import re
from pathlib import Path

import pytest
from study_text import GOOD, changed

from kdsearch.config import load_study
from kdsearch.errors import StudyFileError, UserInputError

STUDENT = "student: {kind: mlp, depth: 2}"
ALPHA = "alpha: {role: nuisance, low: 0.0, high: 1.0}"
WIDTH = "width: {role: scientific, values: [8, 16, 32, 64, 128, 256]}"
OBJECTIVE = "objective: {metric: val_accuracy, direction: maximize}"
TEACHER = "model: {kind: conv1d, width: 64}"
IMPORTED = "model: {kind: import, target: 'mine:teacher', pretrained: true}"
GRID = ("sampler: {kind: tpe}", "sampler: {kind: grid}")
STORAGE = "sqlite:///kdsearch.db"


def problems_of(path: Path, text: str | bytes, *overrides: str) -> list[str]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StudyFileError) as caught:
        load_study(path, overrides)
    for sentence in caught.value.problems:
        assert re.match(r"^.+?(:\d+)?: ", sentence), sentence
        assert "\n" not in sentence
        assert not re.search(r"pydantic|Input should|https?:|union|discriminator", sentence)
    return caught.value.problems


ONE_MISTAKE = [
    # Unknown keys
    ((STUDENT, "student: {kind: mlp, dept: 2}"), 8, "student.dept", "did you mean 'depth'?"),
    (("budget: {", "bugdet: {"), 19, "bugdet", "did you mean 'budget'?"),
    (("{trials: 24}", "{trails: 24}"), 19, "budget.trails", "did you mean 'trials'?"),
    (("seed: 0", "epochs: 3"), 2, "epochs", "did you mean 'training.epochs'?"),
    (("seed: 0", "temperature: 3"), 2, "temperature", "did you mean 'search.temperature'?"),
    (("seed: 0", "zzz: 3"), 2, "zzz", "allowed are name, question, seed, data, teacher"),
    (("low: 0.0", "lwo: 0.0, low: 0.0"), 12, "search.alpha.lwo", "did you mean 'low'?"),
    ((STUDENT, "student: {kind: mlp, mlp: 1}"), 8, "student.mlp", "allowed are width, kind"),
    (("2.0e-3}", "2.0e-3, epohcs: 1}"), 7, "teacher.training.epohcs", "did you mean 'epochs'?"),
    (("seed: 0", "<<: 0"), 2, "<<", "unknown key"),
    (("seed: 0", "ladder: {start: 4, max: 64}"), 2, "ladder", "did you mean 'study.ladder'?"),
    (("seed: 0", "confidence: 0.9"), 2, "confidence", "did you mean 'study.confidence'?"),
    # Missing keys
    (("name: temp-alpha\n", ""), 1, "name", "is missing"),
    ((STUDENT, "student: {depth: 2}"), 8, "student.kind", "allowed are mlp, conv1d, cnn and"),
    ((STUDENT, "student: {knd: mlp}"), 8, "student.kind", "is 'knd' a typo?"),
    ((ALPHA, "alhpa: {low: 0.0, high: 1.0}"), 12, "search.alhpa", "did you mean 'alpha'"),
    (("metric: val_accuracy, ", ""), 16, "objective.metric", "is missing"),
    # Wrong types
    (("{trials: 24}", "{trials: many}"), 19, "budget.trials", 'a whole number, not "many"'),
    (("{trials: 24}", '{trials: "24"}'), 19, "budget.trials", 'a whole number, not "24"'),
    (("{trials: 24}", "{trials: 1e2}"), 19, "budget.trials", "a whole number, not 1e2"),
    (("{trials: 24}", "{trials: 012}"), 19, "budget.trials", 'a whole number, not "012"'),
    (("{trials: 24}", "{trials: 1:30}"), 19, "budget.trials", 'a whole number, not "1:30"'),
    (("seed: 0", "seed: 2020-01-01"), 2, "seed", 'a whole number, not "2020-01-01"'),
    (("seed: 0", "seed: yes"), 2, "seed", 'a whole number, not "yes"'),
    (("seed: 0", "seed: true"), 2, "seed", "a whole number, not true"),
    (("seed: 0", "seed:"), 2, "seed", "a whole number, not nothing (null)"),
    (("baseline: true", "baseline: no"), 20, "confirm.baseline", 'true or false, not "no"'),
    (("temp-alpha\ns", "5\ns"), 1, "name", "text, not 5"),
    ((STUDENT, "student: mlp"), 8, "student", "a section of `key: value` lines"),
    ((STUDENT, "student:\n- kind: mlp"), 8, "student", "a section of `key: value` lines"),
    ((ALPHA, "alpha: 0.5"), 12, "search.alpha", "a section of `key: value` lines, not 0.5"),
    ((OBJECTIVE, "objective: 5"), 16, "objective", "or a list of them, not 5"),
    (("low: 0.0", "low: {int: 3}"), 12, "search.alpha.low", "a number, not a section"),
    ((WIDTH, WIDTH.replace("8,", "null,")), 15, "search.width.values", "not nothing (null)"),
    ((WIDTH, "width: {role: scientific, values: 8}"), 15, "search.width.values", "a list such"),
    # Ranges of one field
    (("seed: 0", "seed: -1"), 2, "seed", "at least 0"),
    (("seed: 0", f"seed: {10**30}"), 2, "seed", "below 2^63"),
    (("2.0e-3", ".inf"), 7, "teacher.training.learning_rate", "a finite number, not .inf"),
    (("2.0e-3", "1e999"), 7, "teacher.training.learning_rate", "a finite number, not 1e999"),
    (("batch_size: 128", "batch_size: 0"), 9, "training.batch_size", "at least 1"),
    (("val_fraction: 0.2", "val_fraction: 1"), 3, "data.val_fraction", "below 1.0"),
    (("val_fraction: 0.2", "train_samples: 1234"), 3, "data.train_samples", "multiple of 10"),
    (("members: 4", "members: 0"), 6, "teacher.members", "at least 1"),
    (("kind: tpe", "kind: import"), 17, "sampler", "needs `target: module:callable`"),
    (("kind: tpe", "kind: tpe, target: 'a:b'"), 17, "sampler", "go with `kind: import` only"),
    (("kind: tpe", "kind: cmaes"), 17, "sampler.kind", "are surface, tpe, random, grid, gp"),
    (("kind: halving", "kind: halving, exempt: -0.1"), 18, "pruner.exempt", "at least 0"),
    (("kind: halving", "kind: halfing"), 18, "pruner.kind", "did you mean 'halving'?"),
    ((STUDENT, "student: {kind: mpl}"), 8, "student.kind", "did you mean 'mlp'?"),
    ((STUDENT, "student: {kind: import, target: mine}"), 8, "student.target", "module:callable"),
    (("temp-alpha\ns", "a/b\ns"), 1, "name", "letters, digits"),
    (("temp-alpha\ns", "../x\ns"), 1, "name", "letters, digits"),
    (("maximize", "up"), 16, "objective.direction", "allowed are maximize and minimize"),
    ((OBJECTIVE, "objective: []"), 16, "objective", "at least one"),
    # Search parameters by themselves
    (("high: 20.0", "high: 0.5"), 11, "search.temperature", "not below high 0.5"),
    (("low: 1.0", "low: 0"), 11, "search.temperature", "log needs low > 0"),
    (("low: 0.0", "step: 1e-300, low: 0.0"), 12, "search.alpha", "1000000 points"),
    (("low: 1.0, ", ""), 11, "search.temperature", "`low` and `high`, or `values: [...]`"),
    (("low: 0.0", "step: 2, low: 0.0"), 12, "search.alpha", "allowed is 0 < step <= 1.0"),
    ((WIDTH, "width: {role: scientific, low: 8, high: 64}"), 15, "search.width", "`values: [..."),
    ((WIDTH, "width: {role: scientific, values: []}"), 15, "search.width", "at least one"),
    ((WIDTH, "width: {role: scientific, values: [8, 8.0]}"), 15, "search.width", "duplicates"),
    ((WIDTH, "width: {role: scientific, values: [8]}"), 15, "search.width.values", "two values"),
    ((WIDTH, "width: {role: fixed, low: 8}"), 15, "search.width", "`value: ...`"),
    # Search parameters and the fields they go to
    (("alpha: {", "alhpa: {"), 12, "search.alhpa", "did you mean 'alpha'?"),
    (("alpha: {", "student.dept: {"), 12, "search.student.dept", "mean 'student.depth'?"),
    (("alpha: {", "weight_decay: {"), 12, "search.weight_decay", "'training.weight_decay'?"),
    (("alpha: {", "seed: {"), 12, "search.seed", "a seed is a replicate"),
    (("alpha: {", "training.seed: {"), 12, "search.training.seed", "a seed is a replicate"),
    (("alpha: {", "name: {"), 12, "search.name", "cannot be searched"),
    (("alpha: {", "student.kind: {"), 12, "search.student.kind", "cannot be searched"),
    (("alpha: {", "training.device: {"), 12, "search.training.device", "cannot be searched"),
    (("alpha: {", "teacher.members: {"), 12, "search.teacher.members", "ensemble_size"),
    (("alpha: {", "student.options.x: {"), 12, "search.student.options.x", "`kind: import`"),
    (("alpha: {", "distillation.alhpa: {"), 12, "search.distillation.alhpa",
     "the loss of `kind: kd` has no such field; did you mean 'distillation.alpha'?"),
    (("alpha: {", "training.optimizer: {"), 12, "search.training.optimizer", "[adam, adamw, sgd]"),
    (("high: 1.0}", "high: 2}"), 12, "search.alpha.high", "at most 1.0"),
    (("1.0, high: 20.0, log: true", "-1, high: 1"), 11, "search.temperature.low", "above 0"),
    (("3e-4, high: 3.0e-2, log: true", "0, high: 1"), 13, "search.learning_rate.low", "above 0"),
    ((ALPHA, "alpha: {role: nuisance, values: [0, true]}"), 12, "search.alpha.values", "not true"),
    ((ALPHA, "alpha: {role: fixed, value: 1.5}"), 12, "search.alpha.value", "at most 1.0"),
    ((WIDTH, WIDTH.replace("256", "large")), 15, "search.width.values", 'not "large"'),
    ((WIDTH, WIDTH.replace("256", "0.5")), 15, "search.width.values", "not 0.5"),
    ((WIDTH, "width: {role: nuisance, low: 8.5, high: 64}"), 15, "search.width.low", "not 8.5"),
    (
        (WIDTH, "width: {role: nuisance, low: 8, high: 64, step: 0.5}"),
        15,
        "search.width.step",
        "whole number",
    ),
    ((ALPHA, f"{WIDTH.replace('width', 'student.width')}"), 15, "search.width", "the same field"),
    (("[1, 2, 4]", "[1, 2, 5]"), 14, "search.ensemble_size.values", "at most 4"),
    # Sections that do not fit together
    ((STUDENT, "student: {kind: cnn}"), 8, "student.kind", "cnn reads images"),
    ((STUDENT, "student: {kind: conv1d, depth: 6}"), 8, "student.depth", "at most 5"),
    (("mnist1d", "digits"), 5, "teacher.model.kind", "digits has 2-D samples"),
    (("min_epochs: 1", "min_epochs: 40"), 18, "pruner.min_epochs", "below 40"),
    (("batch_size: 128", "warmup_epochs: 40"), 9, "training.warmup_epochs", "below training.epo"),
    (("{epochs: 40, learning", "{epochs: 4, warmup_epochs: 4, learning"), 7,
     "teacher.training.warmup_epochs", "below teacher.training.epochs"),
    (("maximize", "minimize"), 16, "objective.direction", "allowed is maximize"),
    (("metric: val_accuracy", "metric: num_params"), 16, "objective.direction", "is minimize"),
    ((TEACHER, IMPORTED), 6, "teacher.members", "allowed is 1"),
    ((STUDENT, "student: {kind: import, target: 'a:b', pretrained: true}"), 8,
     "student.pretrained", "allowed is false"),
    ((STORAGE, "kdsearch.db"), 22, "storage", "such as sqlite:///kdsearch.db"),
    ((STORAGE, "sqlite://"), 22, "storage", "cannot be resumed"),
    ((STORAGE, "'sqlite:///:memory:'"), 22, "storage", "cannot be resumed"),
    ((STORAGE, "sqlite://k.db"), 22, "storage", "three slashes"),
    ((STORAGE, "sqlite:///k.db?mode=ro"), 22, "storage", "a plain file path"),
    ((STORAGE, "postgres://h/k"), 22, "storage", "did you mean 'postgresql'?"),
    (("val_fraction: 0.2", "augment: {views: 4}"), 3, "data.augment", "changes nothing; give"),
    (("val_fraction: 0.2", "augment: {shift: 40}"), 3, "data.augment.shift", "is at most 39"),
    (("val_fraction: 0.2", "augment: {shfit: 2}"), 3, "data.augment.shfit", "mean 'shift'?"),
    (("val_fraction: 0.2", "augment: {flip: 1}"), 3, "data.augment.flip", "true or false"),
    (("val_fraction: 0.2", "augment: {flip: true, views: 0}"), 3, "data.augment.views", "1"),
    (("val_fraction: 0.2", "augment: {transform: turn}"), 3, "data.augment.transform",
     "my_data:rotate"),
    (("members: 4", "members: 4\n  augment: {views: 4}"), 7, "teacher.augment", "changes nothing"),
    (("members: 4", "members: 4\n  augment: {shift: 40}"), 7, "teacher.augment.shift",
     "as mnist1d has 40 values a side; allowed is at most 39"),
    (("members: 4", "members: 4\n  augment: nonne"), 7, "teacher.augment",
     "did you mean 'none'? allowed are data and none"),
    (("members: 4", "members: 4\n  augment: {shfit: 2}"), 7, "teacher.augment.shfit",
     "did you mean 'shift'? allowed are shift, flip, transform and views"),
    (("members: 4", "members: 4\n  augment: {flip: true, views: 0}"), 7,
     "teacher.augment.views", "at least 1"),
    (("members: 4", "members: 4\n  augment: 5"), 7, "teacher.augment", "a section of `key: "),
    (("members: 4", "members: 4\n  augment:"), 7, "teacher.augment", "not nothing (null)"),
    (("members: 4", "members: 4\n  augmnt: none"), 7, "teacher.augmnt", "mean 'augment'?"),
    (("val_fraction: 0.2", "transfer: {omit_classes: []}"), 3, "data.transfer.omit_classes",
     "is empty; give at least one"),
    (("val_fraction: 0.2", "transfer: {omit_classes: [3, -1]}"), 3,
     "data.transfer.omit_classes.1", "-1 is not allowed; it must be at least 0"),
    (("val_fraction: 0.2", "transfer: {omit_classes: 3}"), 3, "data.transfer.omit_classes",
     "a list such as [1, 2, 4], not 3"),
    (("val_fraction: 0.2", "transfer: {omit_classes: [three]}"), 3,
     "data.transfer.omit_classes.0", 'a whole number, not "three"'),
    (("val_fraction: 0.2", "transfer: {}"), 3, "data.transfer.omit_classes", "is missing"),
    (("val_fraction: 0.2", "transfer: {omit_clases: [3]}"), 3, "data.transfer.omit_clases",
     "did you mean 'omit_classes'?"),
    (("val_fraction: 0.2", "transfer: [3]"), 3, "data.transfer", "a section of `key: value`"),
    (("val_fraction: 0.2", "omit_classes: [3]"), 3, "data.omit_classes",
     "did you mean 'data.transfer.omit_classes'?"),
    ((STUDENT, "student: {kind: mlp, dropout: 1.0}"), 8, "student.dropout", "below 1.0"),
    ((STUDENT, "student: {kind: mlp, input_dropout: -0.1}"), 8, "student.input_dropout",
     "at least 0.0"),
    ((STUDENT, "student: {kind: mlp, max_norm: 0}"), 8, "student.max_norm", "above 0.0"),
    ((STUDENT, "student: {kind: mlp, drop_out: 0.1}"), 8, "student.drop_out", "mean 'dropout'?"),
    ((STUDENT, "student: {kind: conv1d, dropout: 0.1}"), 8, "student.dropout",
     'unknown key "dropout"; allowed are width, kind and depth'),
    (("seed: 0", "dropout: 0.2"), 2, "dropout", "did you mean 'student.dropout'?"),
    (("lr_scaling: none", "keep: final"), 9, "training.keep", "allowed are best and last"),
    (("baseline: true", "refit: 1"), 20, "confirm.refit", "true or false, not 1"),
    (("seed: 0", "refit: true"), 2, "refit", "did you mean 'confirm.refit'?"),
    (("alpha: {", "confirm.refit: {"), 12, "search.confirm.refit", "no field is called"),
    (("alpha: {", "teacher.augment: {"), 12, "search.teacher.augment", "no field is called"),
    (("alpha: {", "data.transfer.omit_classes: {"), 12, "search.data.transfer.omit_classes",
     "no field is called"),
    (("alpha: {", "student.dropout: {"), 12, "search.student.dropout.high", "below 1.0"),
    # YAML
    (("seed: 0", "seed: 0\nseed: 1"), 3, "seed", "already set in line 2"),
    (("low: 0.0", "low: 0.0, low: 0.1"), 12, "search.alpha.low", "already set in line 12"),
    (("seed: 0", "\tseed: 0"), 2, "", "indent with spaces"),
    (("  members: 4", "\tmembers: 4"), 6, "", "indent with spaces"),
    (("  members: 4", " members: 4"), 6, "", "check the indentation"),
    (("seed: 0", 'seed: "0'), 2, "", "a quotation mark is not closed"),
    (("[1, 2, 4]", "[1, 2, 4"), 14, "", "is not closed"),
    (("seed: 0", "seed"), 3, "", "`key: value`"),
    (("seed: 0", "seed: a: b"), 2, "", "in quotes"),
    (("seed: 0", "seed: | 0"), 2, "", "in quotes"),
    (("seed: 0", "seed: @a"), 2, "", "cannot start with '@'"),
    (("seed: 0", "seed: &a 0"), 2, "seed", "anchors and aliases"),
    (("seed: 0", "seed: *a"), 2, "seed", "anchors and aliases"),
    (("seed: 0", "seed: !!python/object/apply:os.getcwd []"), 2, "seed", "data, not code"),
    (("seed: 0", "seed: !x 0"), 2, "seed", "data, not code"),
    (("seed: 0", "seed: !x!y 0"), 2, "", "data, not code"),
    (("seed: 0", "1: 0"), 2, "", "the key 1 is not text"),
    (("seed: 0", "true: 0"), 2, "", "the key true is not text"),
    (("seed: 0", "on: 0"), 2, "on", "unknown key"),
    (("seed: 0", "? [a]\n: 0"), 2, "", "a key is a list"),
    (("seed: 0", "'': 0"), 2, "", "a key is empty"),
    (("seed: 0", "seed: " + "[" * 3000), 2, "", "deeper than 20 levels"),
    (("seed: 0", "seed: 0\n---\nseed: 1"), 3, "", "a second document"),
    (("seed: 0", r'seed: "\UFFFFFFFF"'), 2, "", "names no character"),
    (("seed: 0", r'seed: "\e[31m"'), 2, "seed", "a control character"),
    (("seed: 0", r'seed: "\ud800"'), 2, "seed", "a control character"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "line", "key", "phrase"), ONE_MISTAKE)
def test_one_mistake_gives_one_sentence(
    tmp_path: Path, edit: tuple[str, str], line: int, key: str, phrase: str
) -> None:
    path = tmp_path / "study.yaml"
    (sentence,) = problems_of(path, changed(edit))
    start = f"{path}:{line}: " + (f"{key}: " if key else "")
    assert sentence.startswith(start), sentence
    assert phrase in sentence.removeprefix(start)
    assert list(tmp_path.iterdir()) == [path]


SEVERAL_EDITS = [
    (
        [(STUDENT, "student: {kind: mlp, dropout: 0.1}"),
         ("lr_scaling: none", "engine: population")],
        9, "training.engine", "without dropout and max_norm; allowed with them are auto and",
    ),
    (
        [(TEACHER, "model: {kind: mlp, max_norm: 2.0}"),
         ("2.0e-3}", "2.0e-3, engine: population}")],
        7, "teacher.training.engine", "without dropout and max_norm",
    ),
    ([GRID], 11, "search.temperature", "needs `values: [...]` or a `step`"),
    ([(ALPHA, "alpha: {role: fixed, value: 1}")], 11, "search.temperature", "no effect"),
    (
        [(TEACHER, IMPORTED), ("members: 4", "members: 1"), (ALPHA, ALPHA.replace("alpha",
          "teacher.training.weight_decay")), ("[1, 2, 4]", "[1]")],
        12, "search.teacher.training.weight_decay", "pretrained",
    ),
    (
        [("mnist1d, val_fraction: 0.2", "digits, val_fraction: 0.8"),
         (TEACHER, "model: {kind: mlp}")], 3, "data.val_fraction", "sum must be below 1",
    ),
    (
        [("mnist1d", "digits"), (TEACHER, "model: {kind: cnn, depth: 4}")],
        5, "teacher.model.depth", "at most 3",
    ),
    (
        [("members: 4", "members: 1\n  augment: {shift: 2}"), (TEACHER, IMPORTED),
         ("[1, 2, 4]", "[1]")],
        7, "teacher.augment", "a pretrained teacher is not trained here; take this out",
    ),
    (
        [(OBJECTIVE, "objective:\n- {metric: macs, direction: minimize}\n"
                     "- {metric: macs, direction: minimize}")],
        18, "objective.1.metric", "already an objective",
    ),
    (
        [(OBJECTIVE, "objective:\n- {metric: val_accuracy, direction: maximize}\n"
                     "- {metric: macs, direction: minimize}"), ("kind: tpe", "kind: surface")],
        19, "sampler.kind", "allowed with several are tpe, nsga2",
    ),
    (
        [(WIDTH, f"width: {{role: scientific, values: {list(range(8, 48))}}}"),
         (ALPHA, f"alpha: {{role: scientific, values: {[k / 40 for k in range(40)]}}}")],
        10, "search", "1600 strata",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "line", "key", "phrase"), SEVERAL_EDITS)
def test_cross_field_mistake(
    tmp_path: Path, edits: list[tuple[str, str]], line: int, key: str, phrase: str
) -> None:
    path = tmp_path / "study.yaml"
    found = problems_of(path, changed(*edits))
    assert any(p.startswith(f"{path}:{line}: {key}: ") and phrase in p for p in found), found


def small_search(parameter: str, rest: str = "budget: {trials: 24}\n") -> str:
    head = GOOD[: GOOD.index("search:")]
    return f"{head}search:\n  {parameter}\n{rest}"


def test_a_budget_above_the_grid_is_refused_with_its_size(tmp_path: Path) -> None:
    text = small_search(
        "alpha: {role: nuisance, low: 0.7, high: 1.0, step: 0.1}\n"
        "  temperature: {role: nuisance, values: [1, 4]}",
        "budget: {trials: 9}\nsampler: {kind: grid}\n",
    )
    (sentence,) = problems_of(tmp_path / "study.yaml", text)
    assert "budget.trials: 9 trials, but the grid has 8 points" in sentence
    assert load_study(tmp_path / "study.yaml", ["budget.trials=8"]).budget.trials == 8


def test_without_a_nuisance_parameter_there_is_one_trial(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    found = problems_of(path, small_search(WIDTH, "budget: {trials: 2}\nsampler: {kind: gp}\n"))
    assert ["budget.trials: 2 trials" in found[0], "allowed is 1" in found[0]] == [True, True]
    assert "sampler.kind: gp needs at least one parameter with the role nuisance" in found[1]
    assert load_study(path, ["budget.trials=1", "sampler.kind=tpe"]).budget.trials == 1


def test_qmc_needs_a_range(tmp_path: Path) -> None:
    text = small_search(
        "alpha: {role: nuisance, values: [0.1, 0.5]}", "budget: {trials: 2}\nsampler: {kind: qmc}"
    )
    (sentence,) = problems_of(tmp_path / "study.yaml", text)
    assert "sampler.kind: qmc spreads points over ranges" in sentence


WHOLE_FILES = [
    (b"", 1, "the file is empty"),
    (b"# only a comment\n", 1, "the file is empty"),
    (b"null\n", 1, "the file is empty"),
    (b"- name\n- seed\n", 1, "the file holds a list"),
    (b"temp-alpha\n", 1, "the file holds a single value"),
    (b"name: a\nquestion: caf\xe9\n", 2, "not UTF-8"),
    (GOOD.encode("utf-16"), 1, "not UTF-8"),
    (b"name: a\nquestion: \x00\n", 2, "a control character"),
    (b"&a [*a]\n", 1, "anchors and aliases"),
]


@pytest.mark.parametrize(("content", "line", "phrase"), WHOLE_FILES)
def test_a_file_that_is_no_study_at_all(
    tmp_path: Path, content: bytes, line: int, phrase: str
) -> None:
    path = tmp_path / "study.yaml"
    sentence = problems_of(path, content)[0]
    assert sentence.startswith(f"{path}:{line}: ")
    assert phrase in sentence


def test_a_path_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    large.write_text("#" * 1_000_001)
    for path, phrase in (
        (tmp_path / "none.yaml", "there is no such file"),
        (tmp_path, "this is not a file"),
        (Path("/dev/zero"), "this is not a file"),
        (large, "larger than 1 MB"),
    ):
        with pytest.raises(UserInputError, match=phrase) as caught:
            load_study(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_mistakes_of_every_kind_are_reported_at_once_in_file_order(tmp_path: Path) -> None:
    text = changed(
        ("seed: 0", "seed: 0\nseed: 1"),
        (STUDENT, "student: {kind: mlp, dept: 2, width: large}"),
        ("high: 20.0", "high: 0.5"),
        ("high: 1.0}", "high: 2}"),
        ("[1, 2, 4]", "[1, 2, 9]"),
        ("maximize", "minimize"),
        ("min_epochs: 1", "min_epochs: 99"),
        ("budget: {trials: 24}", "bugdet: {trials: 24}"),
        (STORAGE, "sqlite://"),
    )
    path = tmp_path / "study.yaml"
    found = problems_of(path, text, "confirm.replicates=-1", "sampler.knid=tpe")
    keys = [sentence.removeprefix(f"{path}:").split(": ")[:2] for sentence in found]
    assert keys == [
        ["3", "seed"],
        ["9", "student.width"],
        ["9", "student.dept"],
        ["12", "search.temperature"],
        ["13", "search.alpha.high"],
        ["15", "search.ensemble_size.values"],
        ["17", "objective.direction"],
        ["19", "pruner.min_epochs"],
        ["20", "bugdet"],
        ["23", "storage"],
        ["--set confirm.replicates=-1", "confirm.replicates"],
        ["--set sampler.knid=tpe", "sampler.knid"],
    ]


def test_a_value_in_a_long_list_is_reported_at_its_own_line(tmp_path: Path) -> None:
    text = changed((WIDTH, "width:\n    role: scientific\n    values:\n    - 8\n    - large"))
    (sentence,) = problems_of(tmp_path / "study.yaml", text)
    assert f"{tmp_path / 'study.yaml'}:19: search.width.values: must be a whole" in sentence


def test_passwords_are_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = changed((STORAGE, "7://me:secret@host/db"))
    found = problems_of(path, text, "storage=8://me:secret@host/db")
    assert "secret" not in " ".join(found)


def test_a_searched_depth_must_fit_the_data(tmp_path: Path) -> None:
    student = (STUDENT, "student: {kind: conv1d}")
    deep = (ALPHA, "student.depth: {role: nuisance, values: [3, 7]}")
    (sentence,) = problems_of(tmp_path / "study.yaml", changed(student, deep))
    assert "search.student.depth: depth 7 halves a sample 7 times" in sentence
    absurd = (ALPHA, "student.depth: {role: nuisance, low: 3, high: 1000000000}")
    found = problems_of(tmp_path / "study.yaml", changed(student, absurd))
    assert any("search.student.depth.high: 1000000000 is not allowed" in p for p in found)


LADDER = "study: {ladder: {start: 4, max: 1024}}"
LADDERS = [
    ("study: {tolerance: 0.5}", "study.tolerance", "it must be below 0.5"),
    ("study: {tolerance: 0}", "study.tolerance", "it must be above 0"),
    ("study: {tolerance: 120%}", "study.tolerance", "or a share of the teacher's errors, as 10%"),
    ("study: {tolerance: little}", "study.tolerance", "allowed is a fraction below 0.5, or"),
    ("study: {confidence: 90}", "study.confidence", "it must be at most 0.999"),
    ("study: {ladder: {max: 64}}", "study.ladder.start", "is missing"),
    ("study: {ladder: {start: 4, max: 64, factor: 1}}", "study.ladder.factor", "above 1"),
    ("study: {ladder: {start: 4, max: 32}}", "study.ladder.max", "has 4 sizes, and a verdict"),
    ("study: {ladder: {start: 8, max: 4}}", "study.ladder.max", "has 0 sizes"),
    ("study: {ladder: {start: 4, max: 64, fctor: 2}}", "study.ladder.fctor", "mean 'factor'?"),
    (
        "study: {ladder: {parameter: student.width, start: 4, max: 64}}",
        "study.ladder.parameter",
        "write 'width'",
    ),
    (
        "study: {ladder: {parameter: temperature, start: 4, max: 64}}",
        "study.ladder.parameter",
        "'temperature' is not a size of the student; allowed are width and student.depth",
    ),
    (
        "study: {ladder: {parameter: student.depth, start: 1, max: 32}}",
        "study.ladder",
        "32 is not allowed; it must be at most 16",
    ),
]


@pytest.mark.parametrize(("line", "key", "phrase"), LADDERS)
def test_a_ladder_that_cannot_work(tmp_path: Path, line: str, key: str, phrase: str) -> None:
    text = changed((f"  {WIDTH}\n", ""), ("seed: 0", f"seed: 0\n{line}"))
    problems = problems_of(tmp_path / "study.yaml", text)
    assert len(problems) == 1, problems
    assert f"study.yaml:3: {key}: " in problems[0], problems
    assert phrase in problems[0], problems


def test_a_ladder_and_the_rest_of_the_file_are_checked_at_once(tmp_path: Path) -> None:
    text = changed(("seed: 0", f"seed: 0\n{LADDER}"), ("replicates: 5", "replicates: 1"))
    problems = problems_of(tmp_path / "study.yaml", text)
    assert [p.split(": ")[1] for p in problems] == ["search.width", "confirm.replicates"]
    assert "width is the ladder's parameter" in problems[0]
    other = "ensemble_size: {role: scientific, values: [1, 2, 4]}"
    text = changed(
        (f"  {WIDTH}\n", ""),
        ("seed: 0", f"seed: 0\n{LADDER}"),
        ("ensemble_size: {role: nuisance, values: [1, 2, 4]}", other),
    )
    [problem] = problems_of(tmp_path / "study.yaml", text)
    assert "search.ensemble_size: a study with a ladder asks about one axis, width" in problem
