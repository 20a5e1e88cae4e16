"""Every error that a user can meet, and the exit code that it ends with.

A message says what should be, what was found, and what to do. Exit code 2 (usage) is otherwise click's own.
"""

from __future__ import annotations

import errno
import re


class FneError(Exception):
    """Something a user can put right. What it says as text is shown as it is, without a traceback.

    problem: what should be and what was found. file: the one that has it, where the problem does not name it. remedy:
    what to do, for whom the command was typed; a caller that knows better says something else.
    """

    exit_code = 1

    def __init__(self, problem: str = "", *, file: object = None, remedy: str = "") -> None:
        self.problem, self.file, self.remedy = problem, file, remedy
        super().__init__(("" if file is None else f"{file}: ") + problem + (f"\n{remedy}" if remedy else ""))


_OF_MEMORY = re.compile(
    r"cannot allocate|failed to allocate memory|out of memory|unable to allocate|memory allocation failed|bad_alloc"
    r"|can't start new thread|OOM when allocating|Resource_?Exhausted|OutOfMemoryError",
    re.IGNORECASE,
)


def is_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, in whatever words its library has for it."""
    known = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    return known or bool(_OF_MEMORY.search(f"{type(error).__name__} {error}"))


class BadInput(FneError):
    """An input that cannot be used: a missing file, a broken manifest, an unknown network."""


class TooFewImages(BadInput):
    """A class, by its number, has fewer training images than were asked for."""

    def __init__(self, label: int, wanted: int, found: int) -> None:
        super().__init__(f"should have {wanted:,} training images. Found: {found:,}.")
        self.label = label


class WrongOptions(BadInput):
    """Options that do not go together: the command line is wrong, whatever the files hold."""

    exit_code = 2


class WrongFile(FneError):
    """A file of another kind, of another version, or not one of ours."""


class DamagedFile(FneError):
    """A file of ours whose content is not what was written."""


class OldVersion(UserWarning):
    """A file of an earlier version of the format, which is read, but promises less."""


class DoesNotFit(FneError):
    """The disk or the memory is too small; the message has the numbers."""


class TooManyBad(FneError):
    """The work is finished, but more images are bad than were allowed.

    bad: how many, so many have to be allowed. mending: what else can be done.
    """

    exit_code = 3

    def __init__(self, problem: str, *, bad: int, mending: str) -> None:
        self.bad, self.mending = bad, mending
        super().__init__(problem, remedy=f"Accept them: the same command with --max-bad {bad}. {mending}")

    def by(self, command: str) -> FneError:
        """The same, for whom the whole command line that accepts them is known."""
        told = FneError(self.problem, remedy=f"Accept them: {command}\n{self.mending}")
        told.exit_code = self.exit_code
        return told


class DifferentOutput(FneError):
    """The output exists and was made with other inputs or settings."""

    exit_code = 4


class Busy(FneError):
    """Another process is writing the output."""

    exit_code = 5


class Stopped(BaseException):
    """A signal ended the command; what was committed is kept. Exit code 128 + signal (SIGUSR1 ends as SIGTERM).

    No Exception, as KeyboardInterrupt is none: it can come at any moment, inside a library or where a file that may be
    damaged is tried, and nobody should take it for a failure of what was just being done.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
