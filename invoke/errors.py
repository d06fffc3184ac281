"""The exception tree: failures that a user can cause, each a sentence with what to do next.

InvokeError
├── CommandError    the line cannot be read (has a column)
├── RequestError    the line is valid, but asks for something impossible
├── PictureError    a picture cannot be opened
├── ModelError      a model is unknown or cannot be loaded
├── EngineError     the picture could not be made
└── OutputError     a picture could not be saved

Caught in the shell's loop, in the batch and in `cli`, nowhere else. Anything that is not an InvokeError is
a bug and keeps its traceback.
"""

import errno
import re
from enum import IntEnum

LONGEST_MESSAGE = 1000
"""Characters of an error's message."""


class ExitStatus(IntEnum):
    """The exit status of the process."""

    OK = 0
    FAILED = 1
    """At least one line failed."""
    USAGE = 2
    UNUSABLE = 3
    """The model or the environment cannot be used."""
    INTERRUPTED = 130
    TERMINATED = 143


class InvokeError(Exception):
    """A failure that a user can cause.

    `code` is a stable word for scripts, `hint` what to do next, `column` the offset (from 0) in the line. The middle
    of a very long message is cut (LONGEST_MESSAGE).
    """

    code = "error"

    def __init__(self, message: str, *, code: str = "", hint: str = "", column: int | None = None) -> None:
        if len(message) > LONGEST_MESSAGE:
            message = f"{message[: LONGEST_MESSAGE * 2 // 3]} … {message[-LONGEST_MESSAGE // 4 :]}"
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.hint = hint
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        # errors are sent from the worker process to the program
        return rebuild, (type(self), self.message, self.code, self.hint, self.column)


class CommandError(InvokeError):
    """The line cannot be read."""

    code = "bad_line"


class RequestError(InvokeError):
    """The line is valid, but asks for something impossible."""

    code = "bad_request"


class PictureError(InvokeError):
    """A picture is missing, unreadable or unsuitable."""

    code = "bad_picture"


class ModelError(InvokeError):
    """A model is unknown or cannot be loaded."""

    code = "bad_model"
    model = ""
    """The name of the model that cannot be used, if known."""

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"model": self.model})


class EngineError(InvokeError):
    """The picture could not be made."""

    code = "engine_failed"


class OutputError(InvokeError):
    """A picture could not be saved."""

    code = "output_failed"


def first_line(error: BaseException) -> str:
    """The first line of a library's error, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


MORE_MEMORY = "close what else uses the memory, or choose a smaller model: !models lists them"
_NO_MEMORY = re.compile(
    r"MemoryError|out of memory|(can't|cannot|could not|unable to) allocate|not enough memory|bad_alloc"
    r"|failed to map segment|can't start new thread|cannot create thread",
    re.IGNORECASE,
)
"""Messages of libraries about running out of memory or address space."""


def says_no_memory(error: BaseException | str) -> bool:
    """Whether `error` or its cause is an out-of-memory error."""
    while isinstance(error, BaseException):
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if _NO_MEMORY.search(str(error)):
            return True
        cause = error.__cause__ or error.__context__
        if cause is None:
            return False
        error = cause
    return _NO_MEMORY.search(error) is not None


def cannot_be_loaded(name: str, error: BaseException) -> ModelError:
    """An error for a model whose files are complete but inconsistent."""
    if says_no_memory(error):
        return ModelError(f"{name}: out of memory while it was loaded", code="out_of_memory", hint=MORE_MEMORY)
    reason = first_line(error).split(". ")[0].removesuffix(".")  # libraries append advice for programmers
    return ModelError(
        f"{name}: cannot be loaded: {reason}", hint="its files do not fit together: download or convert it again"
    )


def unexpected(error: Exception, log_file: str) -> InvokeError:
    """The message of a bug, whose traceback is in `log_file` ("": nowhere)."""
    details = f"the details are in {log_file}" if log_file else ""
    if says_no_memory(error):
        return EngineError("out of memory", code="out_of_memory", hint=MORE_MEMORY)
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return InvokeError(f"{place}{error.strerror}", code="system_failed", hint=details)
    kind = f"{type(error).__name__}: {error}".splitlines()[0]
    hint = f"{details}{'; ' if details else ''}to report it, add what `invoke doctor` prints"
    return InvokeError(f"internal error: {kind}", code="unexpected", hint=hint)


def rebuild(kind: type[InvokeError], message: str, code: str, hint: str, column: int | None) -> InvokeError:
    """An error from another process."""
    return kind(message, code=code, hint=hint, column=column)
