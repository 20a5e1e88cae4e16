"""NUMBA_NUM_THREADS limits the threads of a process, and nothing else does but the processors it may use."""

import os

import pytest

from fne_cli.machine import processors


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("0", 1), ("9999", None), ("", None), ("many", None)])
def test_the_limit_counts_if_it_is_a_smaller_number(monkeypatch, limit, expected):
    monkeypatch.setenv("NUMBA_NUM_THREADS", limit)
    assert processors() == (expected or len(os.sched_getaffinity(0)))
