"""Threads that work in turns."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from fne_cli.images.workers import Workers


def test_pieces_are_done_in_order_and_announced_before_it_is_their_turn():
    done, told, everything = [], [], threading.Event()

    def announce(piece):
        told.append(piece)
        if len(told) == 20:
            everything.set()

    with closing(Workers(1, done.append, announce)) as team:
        team.turn(False)
        team.give(range(15))
        team.give(range(15, 20))
        assert everything.wait(60)
        assert not done
        team.turn(True)
        team.wait(20)
    assert done == told == list(range(20))


def test_a_wait_is_for_the_first_pieces_not_for_as_many():
    first, rest = threading.Event(), []

    def do(piece):
        if piece == 0:
            assert first.wait(60)
        rest.append(piece)
        if piece == 3:  # all others are done before the first
            first.set()

    with closing(Workers(2, do)) as team:
        team.give(range(4))
        team.wait(1)
        assert sorted(rest) == [0, 1, 2, 3]


def test_whoever_waits_gets_the_error_and_the_others_go_on():
    done = []

    def do(piece):
        if piece == 1:
            raise KeyError("a mistake of ours")
        done.append(piece)

    with closing(Workers(1, do)) as team:
        team.give(range(4))
        with pytest.raises(KeyError, match="a mistake of ours"):
            team.wait(4)
        team.wait(1)
    assert 0 in done


def test_closing_drops_what_has_not_begun_and_leaves_no_thread():
    before, begun, go, done = threading.active_count(), threading.Event(), threading.Event(), []

    def do(piece):
        begun.set()
        assert go.wait(60)
        done.append(piece)

    team = Workers(1, do)
    team.give(range(5))
    assert begun.wait(60)
    team.turn(False)
    go.set()
    team.close()
    assert done == [0]
    assert threading.active_count() == before
