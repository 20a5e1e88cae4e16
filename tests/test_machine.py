"""NUMBA_NUM_THREADS limits the threads of a process, and nothing else does but the processors it may use."""

import os
import subprocess
import sys

import pytest
from places import ROOT

from fne_cli.machine import processors


@pytest.mark.parametrize(("limit", "expected"), [("1", 1), ("0", 1), ("9999", None), ("", None), ("many", None)])
def test_the_limit_counts_if_it_is_a_smaller_number(monkeypatch, limit, expected):
    monkeypatch.setenv("NUMBA_NUM_THREADS", limit)
    assert processors() == (expected or len(os.sched_getaffinity(0)))


def test_all_libraries_are_limited_also_that_of_compiled_code():
    """NumPy and SciPy each have a BLAS of their own, and compiled code loads SciPy's when it is first called."""
    code = """
import numpy
from threadpoolctl import threadpool_info
from fne_cli.machine import one_thread, thread_pool
def threads():
    return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]
before = [2, 2]
for limited in (one_thread, thread_pool):
    with limited():
        assert threads() == [1, 1], threads()
        from fne_cli.numerics.svm.dual import solve_dual
        solve_dual(numpy.eye(3) + 1, numpy.array([[1, -1, -1]], "i1"), threads=1)
        assert threads() == [1, 1], threads()
    assert threads() == before, threads()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
