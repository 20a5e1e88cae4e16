"""The measures of all queries, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fne_cli.numerics.evaluation.rankings import measures, ranks_of
from fne_cli.progress import Progress
from fne_cli.steps.retrieve.ranking import Rankings
from fne_cli.steps.retrieve.relevance import Relevance

RESAMPLES = 1000
_MEANS = {"average_precision": "mean_average_precision", "reciprocal_rank": "mean_reciprocal_rank"}


@dataclass(frozen=True)
class Measured:
    """One set-up. queries: places of those that have relevant images; values: of each measure, (queries,).

    relevant: how many each has, (queries,); nearest: the place of the first image of each ranking; first: whether it is
    relevant. without: how many queries have none.
    """

    setup: str
    queries: np.ndarray
    values: dict[str, np.ndarray]
    relevant: np.ndarray
    nearest: np.ndarray
    first: np.ndarray
    without: int

    def means(self, seed: int, chosen: np.ndarray | None = None) -> dict[str, Any]:
        """Of every measure, over all these queries, or `chosen` (queries,) bool; with the interval of the first."""
        mask = np.ones(len(self.queries), bool) if chosen is None else chosen
        found: dict[str, Any] = {"queries": int(mask.sum())}
        for name, values in self.values.items():
            own = values[mask]
            called = name
            for begin, mean in _MEANS.items():
                called = called.replace(begin, mean)
            found[called] = float(own.mean()) if len(own) else None
            if name == "average_precision_trapezoidal" and len(own):
                found[f"{called}_95"] = bootstrapped(own, seed)
        return found


@dataclass(frozen=True)
class _Line:
    """Of one query: its measures, how many are relevant, and the first image of the ranking."""

    values: dict[str, float]
    relevant: int
    nearest: int
    first: bool


@dataclass
class _Gathered:
    queries: list[int] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    without: int = 0

    def add(self, place: int, line: _Line | None) -> None:
        if line is None:
            self.without += 1
            return
        self.queries.append(place)
        self.lines.append(line)


def measured(
    rankings: Rankings, relevance: Relevance, at: Sequence[int], pool: Executor, progress: Progress
) -> list[Measured]:
    """Of each set-up. The query itself and junk are taken out of a ranking before ranks are counted."""
    gathered = {setup: _Gathered() for setup in relevance.setups}
    own = bool((rankings.own >= 0).all())

    def judge(place: int, distances: np.ndarray) -> list[_Line | None]:
        return [_judged(relevance.of(place, setup), distances, sorted(set(at)), own) for setup in relevance.setups]

    for block, distances in rankings.distances(pool, progress):
        places = range(block.start, block.stop)
        for place, lines in zip(places, pool.map(judge, places, distances), strict=True):
            for setup, line in zip(relevance.setups, lines, strict=True):
                gathered[setup].add(place, line)
    return [_whole(setup, found) for setup, found in gathered.items()]


def _judged(marks: tuple[np.ndarray, np.ndarray], distances: np.ndarray, at: Sequence[int], own: bool) -> _Line | None:
    """None if nothing is relevant. marks: relevant and junk."""
    itself = np.isinf(distances)
    relevant, junk = marks[0] & ~itself, marks[1] | itself
    ranks = ranks_of(distances, relevant, junk)
    if not len(ranks):
        return None
    nearest = int(np.where(junk, np.inf, distances).argmin())
    return _Line(measures(ranks, at, own), len(ranks), nearest, bool(relevant[nearest]))


def _whole(setup: str, found: _Gathered) -> Measured:
    lines = found.lines
    return Measured(
        setup,
        np.array(found.queries, np.int64),
        {name: np.array([line.values[name] for line in lines]) for name in (lines[0].values if lines else ())},
        np.array([line.relevant for line in lines], np.int64),
        np.array([line.nearest for line in lines], np.int64),
        np.array([line.first for line in lines], bool),
        found.without,
    )


def bootstrapped(values: np.ndarray, seed: int) -> list[float]:
    """The middle 95 % of the means of queries drawn again, as many as there are."""
    generator = np.random.default_rng(seed)
    means = [values[generator.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    return [float(end) for end in np.percentile(means, (2.5, 97.5))]
