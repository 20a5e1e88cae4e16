"""Calls on another thread: in order, few at a time, and no error is lost."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.store.output.background import Background


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 50), depth=st.integers(1, 5))
def test_calls_are_made_in_order_on_one_other_thread(count, depth):
    made, threads = [], set()

    def call(number: int) -> None:
        made.append(number)
        threads.add(threading.get_ident())

    with Background(depth) as background:
        for number in range(count):
            background.put(partial(call, number))
    assert made == list(range(count))
    assert len(threads) == min(1, count)
    assert threading.get_ident() not in threads


def test_drain_waits_for_what_was_put_and_more_may_follow():
    made, gate = [], threading.Event()
    with Background() as background:
        background.put(gate.wait)
        background.put(lambda: made.append(1))
        assert made == []
        gate.set()
        background.drain()
        assert made == [1]
        background.put(lambda: made.append(2))
    assert made == [1, 2]


def test_no_more_than_depth_calls_wait():
    """One is being made, two wait: the fourth has to."""
    started, gate, fourth = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        started.set()
        gate.wait()

    with Background(depth=2) as background:
        background.put(first)
        started.wait()
        background.put(int)
        background.put(int)

        def put() -> None:
            background.put(int)
            fourth.set()

        thread = threading.Thread(target=put)
        thread.start()
        too_early = fourth.wait(0.1)
        gate.set()
        thread.join()
        assert not too_early
        assert fourth.is_set()


def test_an_error_is_raised_by_drain_and_the_calls_behind_it_are_dropped():
    made = []
    with pytest.raises(ZeroDivisionError), Background(depth=5) as background:
        background.put(lambda: 1 / 0)
        background.put(lambda: made.append("too late"))
        background.drain()
    assert made == []


def test_an_error_is_raised_by_the_next_put():
    with pytest.raises(KeyError), Background() as background:
        background.put(lambda: {}["missing"])
        for _ in range(1000):
            background.put(lambda: None)


def test_an_error_of_the_last_call_is_raised_on_leaving():
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.put(lambda: 1 / 0)


def test_an_error_of_the_block_itself_is_the_one_that_is_seen():
    with pytest.raises(KeyError), Background() as background:
        background.put(lambda: 1 / 0)
        raise KeyError


def test_no_thread_is_left():
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), Background() as background:
        background.put(lambda: 1 / 0)
    assert threading.active_count() == before
