"""The person at the other end: progress on standard error, signals, and text that cannot command a terminal."""

from __future__ import annotations

import atexit
import fcntl
import math
import os
import re
import signal
import stat
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from fne_cli.errors import OldVersion, Stopped
from fne_cli.progress import Progress
from fne_cli.unprintable import plain, plain_lines

if TYPE_CHECKING:
    from tqdm import tqdm

_SHOW = warnings.showwarning
_FIRST_LINE, _EVERY = 10.0, 60.0
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGUSR1: 143}
# Slurm signals a job's shell and what the shell started; a shell that passes the signal on makes two of one. So do
# programs between a terminal and its command.
_ECHO = 1.0
_NOWHERE = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # handlers of logs keep it as long as they like
atexit.register(_NOWHERE.close)


class Console(Progress):
    """Notes and a progress bar for a terminal; a line a minute for a log file."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet, self.verbose = quiet, verbose
        self._bar: tqdm[Any] | None = None
        self._terminal: TextIO | None = None
        self._bad = 0
        self._asked: int | None = None
        self._heard = -math.inf
        self._deferring = False
        self._told: set[str] = set()
        warnings.showwarning = self._on_warning
        for number in _CODES:
            signal.signal(number, self._on_signal)

    @staticmethod
    def restore() -> None:
        """Give the signals, and warnings, back to Python."""
        warnings.showwarning = _SHOW
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While open, with -q, nobody but this console writes to standard error.

        Not Python's libraries with their warnings and logs, and not what is written to the file itself, as TensorFlow's
        C++ does. An error of ours ends the command and is told afterwards.
        """
        if not self.quiet or sys.stderr is None:
            yield
            return
        with suppress(OSError):
            sys.stderr.flush()
        before, kept, nowhere = sys.stderr, os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        self._terminal = os.fdopen(kept, "w", encoding=before.encoding, errors="backslashreplace")
        sys.stderr = _NOWHERE
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(kept, 2)
            self._terminal.close()
            self._terminal = None

    def error(self, text: str) -> None:
        """Print a line to standard error even with -q."""
        say(self._terminal or sys.stderr, text)

    def note(self, text: str) -> None:
        """Print a line to standard error, above the progress bar if there is one."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.write(plain_lines(text), file=sys.stderr)
        else:
            say(sys.stderr, text)

    def once(self, text: str) -> None:
        """Print a line to standard error if it has not been printed so."""
        if text not in self._told:
            self._told.add(text)
            self.note(text)

    def detail(self, text: str) -> None:
        """Print a line with -v."""
        if self.verbose:
            self.note(text)

    @contextmanager
    def track(self, total: int, unit: str, done: int = 0) -> Iterator[Callable[[int], None]]:
        """A bar on a terminal, below the one that is there; else a line after ten seconds and then every minute."""
        if self.quiet:
            yield lambda count: None
            return
        before, bad_before = self._bar, self._bad
        self._bad = 0
        try:
            if sys.stderr is not None and sys.stderr.isatty():
                from tqdm import tqdm  # which looks for its own version: a quarter of the time of a help page

                with tqdm(
                    total=total, initial=done, unit=f" {unit}", file=sys.stderr, leave=False, smoothing=0.1,
                    ncols=_columns(sys.stderr), dynamic_ncols=_columns(sys.stderr) is None,
                ) as bar:  # fmt: skip
                    self._bar = bar
                    yield _silently(bar.update)
            else:
                yield _Lines(self, total, unit, done).advance
        finally:
            self._bar, self._bad = before, bad_before

    @property
    def bad_so_far(self) -> int:
        """Of the units that are tracked now."""
        return self._bad

    def bad(self, count: int) -> None:
        """Say behind the bar, or in the next line, how many units are bad so far."""
        if count:
            self._bad += count
            if self._bar is not None:
                self._bar.set_postfix_str(f"{self._bad:,} bad", refresh=False)

    @contextmanager
    def deferred(self) -> Iterator[Callable[[], int | None]]:
        """While open, a signal only asks; an interrupt after it, by someone who waits, ends the process at once."""
        self._deferring = True
        try:
            yield lambda: self._asked
        finally:
            self._deferring = False

    def _on_warning(self, message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        """Our own warnings are notes, each once; others look as Python shows them."""
        if not issubclass(category, OldVersion):
            _SHOW(message, category, *where, **more)
        elif str(message) not in self._told:
            self._told.add(str(message))
            self.note(str(message))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        code, now = _CODES[signal.Signals(number)], time.monotonic()
        again = now - self._heard > _ECHO
        if not self._deferring:
            if again:
                self._heard = now
                raise Stopped("Stopped. Run the same command again.", code)
        elif self._asked is None:
            self._asked, self._heard = code, now
            at_once = "; a second Ctrl-C stops at once" if number == signal.SIGINT else ""
            self.note("stopping at the next safe point" + at_once)
        elif again and number == signal.SIGINT:
            os._exit(code)


def say(stream: TextIO | None, text: str) -> None:
    """Print lines in one piece: those of several processes, as `make -j` starts them, must not get into each other.

    In a log that is appended to each has the time before it. That a log cannot be written is no reason to lose work.
    """
    if stream is None:
        return
    lines = plain_lines(text)
    if _is_log(stream):
        now = time.strftime("%Y-%m-%d %H:%M:%S ")
        lines = "\n".join(now + line for line in lines.split("\n"))
    with suppress(OSError):
        stream.write(lines + "\n")
        stream.flush()


def _is_log(stream: TextIO) -> bool:
    """Whether a stream is `>>FILE`: what came before and what comes later stand in it too, from other days."""
    try:
        number = stream.fileno()
        return bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND) and stat.S_ISREG(os.fstat(number).st_mode)
    except (OSError, ValueError):  # a stream that is no file
        return False


def _columns(terminal: TextIO) -> int | None:
    """80 for a terminal that reports no width, as those of batch systems and editors do; None for others."""
    try:
        return None if os.get_terminal_size(terminal.fileno()).columns > 0 else 80
    except (OSError, ValueError):
        return 80


def _silently(function: Callable[[int], object]) -> Callable[[int], None]:
    def call(count: int) -> None:
        function(count)

    return call


class _Lines:
    """Progress for a log file."""

    def __init__(self, console: Console, total: int, unit: str, done: int) -> None:
        self._console, self._total, self._unit, self._done = console, total, unit, done
        self._start, self._first = time.monotonic(), done
        self._next = self._start + _FIRST_LINE

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        rate = (self._done - self._first) / (now - self._start)
        left = (self._total - self._done) / rate if rate else 0
        speed = f"{rate:,.1f} {self._unit}/s" if rate >= 0.95 or not rate else f"{duration(1 / rate)} each"
        bad = f", {self._console.bad_so_far:,} bad" if self._console.bad_so_far else ""
        at = "" if sys.stderr is None or _is_log(sys.stderr) else time.strftime("%H:%M:%S ")  # which has the day, too
        self._console.note(f"{at}{self._done:,} of {self._total:,} {self._unit}, {speed}, {duration(left)} left{bad}")


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Aligned columns: the first to the left, numbers to the right."""
    cells = [tuple(plain(cell) for cell in row) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    numeric = [all(re.fullmatch(r"[-+]?[\d,.]*%?", row[column]) for row in cells[1:]) for column in range(len(header))]
    lines = []
    for row in cells:
        line = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(line).rstrip())
    return "\n".join(lines)
