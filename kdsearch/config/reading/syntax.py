"""PyYAML's complaints as sentences for someone who has never read the YAML specification."""

import yaml

_SENTENCES = (
    ("mapping values are not allowed", "a ': ' where none can be; check the indentation, and put "
     "text that contains ': ' in quotes"),
    ("could not find expected ':'", "this line is not `key: value`; allowed is one key and its "
     "value a line"),
    ("expected <block end>", "this line does not belong here; check the indentation, which is "
     "the same for all keys of a section"),
    ("sequence entries are not allowed", "a list entry `- ...` where none can be; start the list "
     "on a line of its own"),
    ("found undefined tag handle", "a tag (!name) is not allowed; a study file is data, not code"),
    ("expected the node content", "a value is missing or misplaced here; check that every [ and { "
     "is closed"),
    ("chomping or indentation indicator", "text that starts with | or > must be in quotes"),
    ("expected indentation indicator", "text that starts with | or > must be in quotes"),
    ("expected a comment or a line break", "text that starts with | or > must be in quotes"),
    ("mapping keys are not allowed", "a '? ' where none can be; put the text in quotes"),
    ("found unknown escape", "an unknown escape in double-quoted text; use single quotes"),
    ("expected escape sequence", "a broken escape in double-quoted text; use single quotes"),
    ("expected alphabetic or numeric", "a name is missing after & or *; put text that starts with "
     "them in quotes"),
)  # fmt: skip


class Flaw(Exception):
    """What stops the reading of a YAML text, and the line, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def syntax_flaw(error: yaml.YAMLError, text: str) -> Flaw:
    """A syntax error in words."""
    if isinstance(error, yaml.MarkedYAMLError):
        return _marked(error, text)
    position = getattr(error, "position", 0)
    line = text.count("\n", 0, position) + 1
    return Flaw(line, "a control character; a study file is readable text")


def _marked(error: yaml.MarkedYAMLError, text: str) -> Flaw:
    problem = error.problem or error.context or "it cannot be read"
    mark = error.problem_mark or error.context_mark
    line = 1 if mark is None else mark.line + 1
    if "'\\t'" in problem or _is_indented_with_a_tab(text, line):
        return Flaw(line, "a tab in the indentation; indent with spaces")
    if error.context_mark is not None and ("',' or ']'" in problem or "',' or '}'" in problem):
        bracket = "[" if "]" in problem else "{"
        line = error.context_mark.line + 1
        return Flaw(line, f"a '{bracket}' is not closed, or a ',' is missing after it")
    if error.context_mark is not None and "found unexpected end of stream" in problem:
        return Flaw(error.context_mark.line + 1, "a quotation mark is not closed")
    if "that cannot start any token" in problem:
        start = problem.removeprefix("found character ").split(" ")[0]
        return Flaw(line, f"a value cannot start with {start}; put it in quotes")
    for start, sentence in _SENTENCES:
        if start in problem:
            return Flaw(line, sentence)
    return Flaw(line, f"this is not valid YAML: {problem}")


def _is_indented_with_a_tab(text: str, line: int) -> bool:
    lines = text.split("\n")
    content = lines[line - 1] if line <= len(lines) else ""
    return "\t" in content[: len(content) - len(content.lstrip())]
