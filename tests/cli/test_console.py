"""Signals: the first asks, the echoes that batch systems make of it change nothing, an interrupt later ends at once."""

from __future__ import annotations

import contextlib
import signal
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
