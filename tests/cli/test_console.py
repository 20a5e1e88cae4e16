"""Signals: the first asks, the echoes that batch systems make of it change nothing, an interrupt later ends at once.

And -q, with which nobody else writes to standard error; bars of terminals, and lines of logs.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from fne_cli.cli import console
from fne_cli.cli.console import Console
from fne_cli.errors import Stopped


@pytest.fixture
def person() -> Iterator[Console]:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    yield Console()
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture
def at_once(monkeypatch) -> None:
    """No time passes."""
    monkeypatch.setattr(time, "monotonic", lambda: 1e6)


@pytest.fixture
def later(monkeypatch) -> None:
    """Every look at the clock is a minute after the last."""
    clock = iter(range(0, 600_000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))


@pytest.fixture
def ended(monkeypatch) -> list[int]:
    """The exit codes with which the process would have ended at once."""
    codes: list[int] = []
    monkeypatch.setattr(console.os, "_exit", codes.append)
    return codes


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 143, "stopping at the next safe point\n"),
        (signal.SIGUSR1, 143, "stopping at the next safe point\n"),
        (signal.SIGINT, 130, "stopping at the next safe point; a second Ctrl-C stops at once\n"),
    ],
)
def test_a_signal_and_its_echo_ask_once(person, at_once, ended, capsys, number, code, said):
    with person.deferred() as asked:
        assert asked() is None
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert asked() == code
    assert ended == []
    assert capsys.readouterr().err == said


def test_a_batch_system_that_insists_is_not_a_person_who_does(person, ended, later):
    with person.deferred() as asked:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
        assert (asked(), ended) == (143, [])
        signal.raise_signal(signal.SIGINT)
        assert ended == [130]


def test_outside_the_block_a_signal_stops_and_its_echo_does_not_disturb_the_tidying_up(person, at_once):
    with pytest.raises(Stopped) as raised:
        signal.raise_signal(signal.SIGTERM)
    assert raised.value.exit_code == 143
    signal.raise_signal(signal.SIGTERM)


def test_nobody_takes_it_for_a_failure_of_what_was_just_being_done(person):
    with pytest.raises(Stopped), contextlib.suppress(Exception):
        signal.raise_signal(signal.SIGTERM)


def test_outside_the_block_a_later_signal_stops_again(person, later):
    for number in (signal.SIGTERM, signal.SIGINT):
        with pytest.raises(Stopped):
            signal.raise_signal(number)


# Who else writes


def noise() -> None:
    """What libraries do: logs, what their Python prints, lines from C."""
    logging.getLogger("matplotlib").warning("created a cache folder")
    print("from Python", file=sys.stderr)
    os.write(2, b"from C\n")


def test_with_q_nobody_else_writes_to_standard_error(person, capfd, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    person.quiet = True
    with person.alone():
        noise()
        person.note("a note")
        person.error("an error")
    assert capfd.readouterr().err == "an error\n"
    os.write(2, b"afterwards from C\n")
    print("and from Python", file=sys.stderr)
    assert capfd.readouterr().err == "afterwards from C\nand from Python\n"


def test_without_q_they_do(person, capfd, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])
    with person.alone():
        noise()
    err = capfd.readouterr().err
    assert all(line in err for line in ("created a cache folder", "from Python", "from C"))


def test_with_q_an_error_in_between_gives_standard_error_back(person, capfd):
    person.quiet = True
    with pytest.raises(ZeroDivisionError), person.alone():
        raise ZeroDivisionError
    os.write(2, b"from C\n")
    assert capfd.readouterr().err == "from C\n"


def test_with_q_and_a_closed_standard_error(person, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    person.quiet = True
    with person.alone():
        person.note("a note")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal as standard error: terminal(columns) gives a function that reads what was written to it."""
    opened = []

    def open_terminal(columns: int):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        stream = os.fdopen(theirs, "w")
        opened.extend((stream, os.fdopen(ours, "rb", buffering=0)))
        monkeypatch.setattr(sys, "stderr", stream)

        def read() -> str:
            stream.flush()
            found = b""
            while select.select([ours], [], [], 0.2)[0]:
                found += os.read(ours, 1 << 16)
            return found.decode()

        return read

    yield open_terminal
    Console.restore()
    for one in opened:
        one.close()


def test_a_terminal_without_a_width_is_one_of_80_columns(terminal):
    read = terminal(0)
    with Console().track(1000, "images", done=10) as advance:
        advance(20)
    lines = [line for line in re.split(r"[\r\n]", read()) if "images" in line]
    assert lines and all(60 < len(line.rstrip()) <= 80 for line in lines)


def test_bars_stand_within_each_other_and_count_what_is_bad(terminal):
    read, person = terminal(100), Console()
    with person.track(2, "steps") as step:
        for _ in range(2):
            with person.track(4, "images") as advance:
                person.bad(3)
                person.bad(0)
                person._bar.refresh()
                advance(4)
            step(1)
        person.note("between")
    said = read()
    assert said.count("3 bad") >= 2 and "6 bad" not in said
    assert "between" in said and "images" in said and "steps" in said


def test_a_line_of_a_log_has_the_time_of_day_and_what_is_bad(monkeypatch, capfd):
    monkeypatch.setattr(console, "_FIRST_LINE", 0.0)
    person = Console()
    with person.track(10, "images") as advance:
        person.bad(2)
        advance(5)
    Console.restore()
    assert re.fullmatch(r"\d\d:\d\d:\d\d 5 of 10 images, .*, 0 s left, 2 bad\n", capfd.readouterr().err)
