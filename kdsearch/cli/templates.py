"""The study files that come with kdsearch, and new ones made of them. Imports nothing heavy."""

import re
from pathlib import Path

DEFAULT_TEMPLATE = "temp_alpha"

_PACKAGE = Path(__file__).parents[1]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # as `StudyConfig.name`
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

COMMENTS = {
    "data": "What is learnt. Test samples are seen by confirmed students alone, once.",
    "teacher": "Trained once and cached; members 1 to k of it are an ensemble of k.",
    "student": "What is trained again and again. Its size is `width`.",
    "training": "How each student is trained, as far as it is not searched.",
    "search": "nuisance: tuned, with equal effort at each value of what is asked about.\n"
    "scientific: asked about; needs `values`, and each gets results of its own.\n"
    "fixed: tied down, as {role: fixed, value: 4.0}.\n"
    "alpha weights the hard labels: 1 is training without a teacher.",
    "study": "What the report answers first, and which difference it calls none.",
    "objective": "What the search and the choice of students go by, on validation samples.",
    "sampler": "Who proposes settings.",
    "pruner": "When a student that lags behind is stopped.",
    "budget": "Students to train in the search: a total, that may be raised later.",
    "confirm": "The best settings, on fresh seeds; with `baseline`, against hard labels alone.",
    "tracking": "Where MLflow shows it.",
    "storage": "Where it is stored; an Optuna URL.",
}
"""What a section of a study file is for, where the file does not say."""


def folder() -> Path:
    """Where the study files are: in the package that a wheel installs, else in the checkout."""
    installed = _PACKAGE / "studies"
    return installed if installed.is_dir() else _PACKAGE.parent / "studies"


def template_names() -> list[str]:
    """Names of the study files, without their ending."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def write_study_file(file: Path, template: str) -> None:
    """Write a new study file, named after itself.

    Args:
        file: To be made; its folder exists.
        template: The study file that it is like.

    Raises:
        UserInputError: There is a file already, or no such template, or the name is not one.
    """
    from kdsearch.config.problem import not_among
    from kdsearch.errors import UserInputError

    if template not in template_names():
        raise UserInputError(f"--from {not_among(template, template_names())}")
    if not _NAME.fullmatch(file.stem):
        raise UserInputError(
            f"a study cannot be called '{file.stem}'; allowed are letters, digits, '.', '_' and "
            "'-', starting with a letter or digit, at most 64 characters"
        )
    text = commented(renamed((folder() / f"{template}.yaml").read_text(), file))
    try:
        with file.open("x") as new:
            new.write(text)
    except FileExistsError:
        raise UserInputError(f"{file} is there already; give another name") from None
    except OSError as error:
        raise UserInputError(f"{file} cannot be written: {error.strerror or error}") from error


def renamed(text: str, file: Path) -> str:
    """A study file's text with the name, the experiment and the command of another file."""
    found = re.search(r"^name: *(\S+)", text, re.MULTILINE)
    assert found is not None
    text = re.sub(r"^name: *\S+", f"name: {_scalar(file.stem)}", text, flags=re.MULTILINE)
    text = text.replace(f"experiment: {found[1]}}}", f"experiment: {_scalar(file.stem)}}}")
    return re.sub(r"(kdsearch study run )\S+", lambda run: f"{run[1]}{file}", text, count=1)


def commented(text: str) -> str:
    """A study file's text with a comment above each section."""
    lines: list[str] = []
    for line in text.splitlines():
        section = line.partition(":")[0]
        if section in COMMENTS:
            lines += ["", *(f"# {part}" for part in COMMENTS[section].splitlines())]
        lines.append(line)
    return "\n".join(lines) + "\n"


def _scalar(name: str) -> str:
    """A name that YAML reads as text: quoted where it might be a number, a date or a truth."""
    is_plain = name[0].isalpha() and name.lower() not in _WORDS
    return name if is_plain else f'"{name}"'
