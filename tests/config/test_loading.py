"""Reading good study files: numbers, overrides, round trips, imports."""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from study_text import GOOD, changed

import kdsearch
from kdsearch.config import MlpModel, Mnist1dData, StudyConfig, load_study
from kdsearch.config.data import AugmentConfig, TransferConfig
from kdsearch.errors import StudyFileError

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
IMPORTED = "student: {kind: import, target: 'mine:net', options: {x: VALUE}}"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD)
    return path


def test_the_good_file_says_what_it_says(good: Path) -> None:
    config = kdsearch.load_study(good)
    assert (config.name, config.experiment, config.seed) == ("temp-alpha", "temp-alpha", 0)
    assert isinstance(config.data, Mnist1dData)
    assert config.data.test_samples == 10_000
    assert config.search["learning_rate"].low == pytest.approx(3e-4, rel=1e-15)
    assert list(config.search)[-1] == "width"
    assert config.objective[0].metric == "val_accuracy"
    assert config.storage == "sqlite:///kdsearch.db"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_study_we_ship_is_valid(path: Path) -> None:
    assert load_study(path).name


def test_a_config_survives_its_own_json(good: Path) -> None:
    config = load_study(good)
    assert StudyConfig.model_validate_json(config.model_dump_json()) == config


PROTOCOLS = changed(
    ("val_fraction: 0.2", "augment: {shift: 2}, transfer: {omit_classes: [3, 7]}"),
    ("members: 4", "members: 4\n  augment: {shift: 3, flip: true, views: 5}"),
    ("kind: conv1d, width: 64", "kind: mlp, dropout: 0.5, input_dropout: 0.2, max_norm: 15"),
    ("lr_scaling: none", "keep: last"),
    ("baseline: true", "refit: true"),
)


def test_protocols_are_read_and_survive_their_own_json(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(PROTOCOLS)
    config = load_study(path)
    assert config.data.transfer == TransferConfig(omit_classes=(3, 7))
    assert config.teacher.augment == AugmentConfig(shift=3, flip=True, views=5)
    model = config.teacher.model
    assert isinstance(model, MlpModel)
    assert (model.dropout, model.input_dropout, model.max_norm) == (0.5, 0.2, 15.0)
    assert (config.training.keep, config.teacher.training.keep) == ("last", "best")
    assert config.confirm.refit
    assert StudyConfig.model_validate_json(config.model_dump_json()) == config
    assert StudyConfig.model_validate(config.model_dump()) == config
    assert load_study(path, ["teacher.augment=none"]).teacher.augment == "none"


def test_protocols_are_off_unless_a_file_says_them(good: Path) -> None:
    config = load_study(good)
    assert (config.data.transfer, config.teacher.augment) == (None, "data")
    assert (config.training.keep, config.confirm.refit) == ("best", False)
    assert isinstance(config.student, MlpModel)
    assert not config.student.is_regularized


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-2e3", -2000.0),
        ("1.5e+2", 150.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("1", 1),
        ("-0", 0),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("012", "012"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01 10:00:00", "2020-01-01 10:00:00"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("=", "="),
        ("e5", "e5"),
        ("1e", "1e"),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(
    tmp_path: Path, written: str, value: object
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        changed(("student: {kind: mlp, depth: 2}", IMPORTED.replace("VALUE", written)))
    )
    options = load_study(path).student.model_dump()["options"]
    assert options == {"x": value}
    assert type(options["x"]) is type(value)


def test_a_name_may_be_no_and_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("\ufeff" + changed(("temp-alpha\ns", "no\ns")), encoding="utf-8")
    assert load_study(path).name == "no"


def test_overrides_replace_scalars_lists_and_sections(good: Path) -> None:
    config = load_study(
        good,
        [
            "budget.trials=8",
            "budget.trials=9",
            "confirm.replicates=1",
            "training.learning_rate=1e-2",
            "search.width.values=[4, 8]",
            "search.alpha={role: fixed, value: 0.25}",
            "search.training.weight_decay={role: nuisance, low: 1e-6, high: 1e-2, log: true}",
            "search.training.weight_decay.high=1e-3",
            "search.ensemble_size.values.2=3",
            "pruner.min_epochs=",
            "question=Is it so?  # a comment",
            "storage=postgresql://me:secret@host/db?sslmode=require",
        ],
    )
    assert config.budget.trials == 9
    assert config.confirm.replicates == 1
    assert config.training.learning_rate == 1e-2
    assert config.search["width"].values == (4, 8)
    assert config.search["alpha"].value == 0.25
    assert config.search["training.weight_decay"].low == 1e-6
    assert config.search["training.weight_decay"].high == 1e-3
    assert config.search["ensemble_size"].values == (1, 2, 3)
    assert config.pruner.min_epochs is None
    assert config.question == "Is it so?"
    assert config.storage.endswith("?sslmode=require")


def test_an_override_makes_the_sections_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(changed(("confirm: {replicates: 5, baseline: true}\n", "")))
    assert load_study(path, ["confirm.baseline=false"]).confirm.baseline is False


def test_an_override_can_mend_a_mistake_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(changed(("trials: 24", "trials: many")))
    assert load_study(path, ["budget.trials=3"]).budget.trials == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("budget.trials=many", 'budget.trials: must be a whole number, not "many"'),
        ("budget.trails=8", "budget.trails: unknown key \"trails\"; did you mean 'trials'?"),
        ("bugdet.trials=8", "bugdet: unknown key \"bugdet\"; did you mean 'budget'?"),
        ("search.alhpa.low=0", "search.alhpa: a nuisance parameter is given by"),
        ("search.width=3", "search.width: must be a section"),
        ("search.width.values=[8,", "search.width.values: a value is missing or misplaced"),
        ("search.width.values=[8, *a]", "search.width.values.1: anchors"),
        ("search.alpha.high=2", "search.alpha.high: 2 is not allowed; it must be at most 1.0"),
        ("name.first=x", "name.first: name holds a value, not a section"),
        ("search.width.values.9=x", "search.width.values.9: search.width.values is a list"),
        ("data.kind=digits", "teacher.model.kind: conv1d reads signals"),
        ("budget.trials", "an override is written key=value, such as --set budget.trials=8"),
        ("=8", "an override is written key=value"),
        ("budget..trials=8", "an override is written key=value"),
    ],
)
def test_a_wrong_override_is_named(good: Path, text: str, sentence: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        load_study(good, [text])
    start = f"{good}:5: " if text == "data.kind=digits" else f"--set {text}: "
    assert any(problem.startswith(start + sentence) for problem in caught.value.problems), (
        caught.value.problems
    )


def mutate(tree: dict, rng: random.Random) -> None:  # type: ignore[type-arg]
    """Delete, duplicate, retype or rename one random node of `tree`, in place."""
    holder: dict | list = tree  # type: ignore[type-arg]
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = rng.choice(keys)
        child = holder[key]
        if not isinstance(child, dict | list) or rng.random() < 0.3:
            break
        holder = child
    odd = [None, True, -1, 0, 10**40, 1e300, float("nan"), "", "x", "é\u2028", [], {}, [1, "a"],
           [[]], {"kind": "mlp"}, {"role": "fixed", "value": 3}, {"a": {"b": {}}}]  # fmt: skip
    match rng.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["kind", "role", "x.y", "values", "low", f"{key}s"])] = child
        case 2 if isinstance(holder, dict):
            holder[rng.choice([1, None, True, 2.5, f"{key}x"])] = holder.pop(key)
        case _:
            holder[key] = rng.choice(odd)


def break_text(text: str, rng: random.Random) -> str:
    """Delete, repeat or insert characters at one random place."""
    at = rng.randrange(len(text))
    end = at + rng.randrange(12)
    odd = ["\t", ":", "- ", "[", "}", '"', "'", "&a ", "*a", "!!x ", "|", ">", "%", "\n", "\x07",
           "? ", "---\n", "#", "{", "\\", "\u2028", "<<: "]  # fmt: skip
    return text[:at] + rng.choice(["", text[at:end] * 2, rng.choice(odd)]) + text[end:]


def problems_of(path: Path) -> list[str]:
    try:
        load_study(path)
    except StudyFileError as error:
        return error.problems
    return []


@pytest.mark.slow
def test_only_study_file_errors_escape_from_300_random_files(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "study.yaml"
    refused = 0
    for case in range(300):
        text = GOOD
        if case % 2:
            tree = yaml.safe_load(GOOD)
            for _ in range(rng.randint(1, 3)):
                mutate(tree, rng)
            text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
        else:
            for _ in range(rng.randint(1, 3)):
                text = break_text(text, rng)
        path.write_text(text, encoding="utf-8")
        problems = problems_of(path)
        refused += bool(problems)
        for problem in problems:
            assert re.match(r"^.+?(:\d+)?: \S", problem), problem
            assert "Input should" not in problem, problem
            assert "\n" not in problem, problem
    assert refused > 200


def test_the_study_file_needs_no_heavy_import() -> None:
    heavy = "{'torch', 'optuna', 'mlflow', 'numpy', 'pandas'}"
    code = f"import sys, kdsearch.config; print({heavy} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_the_package_itself_imports_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import kdsearch; "
        "new = {name for name in set(sys.modules) - before if '.' not in name}; "
        "print(sorted(new - set(sys.stdlib_module_names)), kdsearch.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == f"['kdsearch'] {kdsearch.__version__}"


def test_the_package_has_no_other_attributes() -> None:
    assert {"load_study", "run_study", "load_results"} <= set(dir(kdsearch))
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = kdsearch.train  # type: ignore[attr-defined]
