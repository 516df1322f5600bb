"""Every error that kdsearch raises on purpose; the command line makes exit codes of them."""


class KdsearchError(Exception):
    """Base class: the message is one sentence that says what to do."""

    exit_code = 1


class UserInputError(KdsearchError):
    """The user's input cannot work: a study file, an argument, a data file."""

    exit_code = 2


class StudyFileError(UserInputError):
    """A study file is wrong. `problems` holds one sentence for each mistake found."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class DataError(UserInputError):
    """A data set is missing, malformed or too small."""


class StudyChangedError(UserInputError):
    """The study file no longer describes the study that its storage holds."""


class UnknownStudyError(UserInputError):
    """No study of that name is in the storage."""


class StudyLockedError(KdsearchError):
    """Another process runs this study."""


class StaleCacheError(KdsearchError):
    """A cached file does not hold what its name promises."""


class DivergedError(KdsearchError):
    """A loss became NaN or infinite."""


class TooManyFailuresError(KdsearchError):
    """More trials failed than `budget.max_failures` allows."""


class InterruptedStudyError(KdsearchError):
    """The user pressed Ctrl-C; everything finished so far is kept."""

    exit_code = 130
