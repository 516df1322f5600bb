"""From a path to a `StudyConfig`, or to every mistake in the file at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from kdsearch.config.reading.consistency import find_problems
from kdsearch.config.reading.source import find, override, read_source, split_key
from kdsearch.config.reading.tree import Finding
from kdsearch.config.reading.validation import shown_key, validate_sections
from kdsearch.config.study import StudyConfig
from kdsearch.errors import StudyFileError


def load_study(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> StudyConfig:
    """Read and check a study file.

    Paths inside the file stay as written: they are relative to the current working folder.

    Args:
        path: The study file, in YAML.
        overrides: `dotted.key=value`, as in `--set`; later ones win.

    Raises:
        StudyFileError: The file or an override is wrong. Its `problems` hold every mistake found,
            as `file:line: dotted.key: what is wrong, what is allowed`.
    """
    root, findings = read_source(Path(path))
    if root is None:
        raise _study_file_error(findings)
    for rank, text in enumerate(overrides):
        findings += override(root, text, rank)
    sections, more = validate_sections(root)
    findings += more
    for problem in find_problems(sections):
        keys = split_key(root, problem.key)
        place = find(root, keys)[0].place
        findings.append(Finding(place, shown_key(keys), problem.message))
    if findings:
        raise _study_file_error(findings)
    return StudyConfig.model_validate(root.plain())


def _study_file_error(findings: list[Finding]) -> StudyFileError:
    ordered = sorted(findings, key=lambda finding: finding.place.order)
    return StudyFileError(list(dict.fromkeys(finding.sentence() for finding in ordered)))
