"""Preloaded by workers of tests: an extraction commits ten times a second, so that kills hit work that counts."""

from __future__ import annotations


def dask_setup(_worker):
    from fne_cli.store import resume

    resume.COMMIT_SECONDS = 0.1
