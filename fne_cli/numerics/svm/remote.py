"""The problems of a large fit in blocks of classes, each solved elsewhere, to the same bits as all of them here.

Problems are solved in groups that share matrix products and never look at each other (see `dual`, `streaming`). So a
block is some whole groups. Streamed problems have two things in common, which are kept: the random order of the rows,
which is handed on, and that a certificate waits for all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes, Rows, spans
from fne_cli.numerics.svm.certified import Hyperplanes
from fne_cli.numerics.svm.dual import Dual, fields_of, groups_of, part_of, solve_groups
from fne_cli.numerics.svm.rows import solve_rows
from fne_cli.numerics.svm.streaming import GROUP, Clock, Stream, shuffled, solve_in_rounds
from fne_cli.numerics.svm.streaming import groups_of as groups_of_stream

Arrays = Mapping[str, np.ndarray]
BlockJob = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Plain settings and arrays."""


class Remote(Protocol):
    """Calls a function of WORKS for each job, somewhere; gives the arrays that each returns, in order.

    groups: how many groups of problems a block has.
    """

    groups: int

    def __call__(self, work: str, shared: Arrays, jobs: Sequence[BlockJob]) -> Iterator[Arrays]:
        """shared: arrays that all the jobs have."""


def solve_dual_remotely(
    remote: Remote,
    gram: np.ndarray,
    signs: np.ndarray,
    cost: float | np.ndarray,
    tolerance: float,
    *,
    start: Dual | None = None,
    seed: int = 0,
    max_passes: int = 1000,
) -> Dual:
    """As `dual.solve_dual`."""
    costs = np.broadcast_to(np.asarray(cost, np.float64), len(signs))
    jobs = []
    for groups in _bundles(groups_of(len(signs)), remote.groups):
        own = np.concatenate(groups)
        begun = {} if start is None else dict(zip(_DUAL, fields_of(part_of(start, own)), strict=True))
        settings = {"sizes": list(map(len, groups)), "tolerance": tolerance, "seed": seed, "max_passes": max_passes}
        jobs.append((settings, {"signs": signs[own], "costs": costs[own], **begun}))
    found = list(remote("dual", {"gram": gram}, jobs))
    return Dual(*(np.concatenate([part[name] for part in found]) for name in _DUAL))


_DUAL = ("alpha", "objective", "dual", "passes", "products")


def _dual_block(settings: Mapping[str, Any], arrays: Arrays) -> Arrays:
    start = Dual(*(np.asarray(arrays[name]) for name in _DUAL)) if "alpha" in arrays else None
    with thread_pool() as pool:
        found = solve_groups(
            np.asarray(arrays["gram"]),
            np.asarray(arrays["signs"]),
            np.asarray(arrays["costs"]),
            settings["tolerance"],
            _groups(settings["sizes"]),
            pool,
            start=start,
            seed=settings["seed"],
            max_passes=settings["max_passes"],
        )
    return dict(zip(_DUAL, fields_of(found), strict=True))


def solve_rows_remotely(
    remote: Remote,
    values: np.ndarray,
    signs: np.ndarray,
    cost: float,
    tolerance: float,
    *,
    seed: int = 0,
    max_passes: int = 1000,
) -> Hyperplanes:
    """As `rows.solve_rows` with one C."""
    jobs = []
    for groups in _bundles(groups_of(len(signs)), remote.groups):
        settings = {"sizes": list(map(len, groups)), "cost": cost, "tolerance": tolerance}
        jobs.append((settings | {"seed": seed, "max_passes": max_passes}, {"signs": signs[np.concatenate(groups)]}))
    found = list(remote("rows", {"values": values}, jobs))
    return Hyperplanes(*(np.concatenate([part[name] for part in found]) for name in _HYPERPLANES))


_HYPERPLANES = ("alpha", "objective", "dual", "passes", "weights", "intercepts")


def _rows_block(settings: Mapping[str, Any], arrays: Arrays) -> Arrays:
    signs, values = np.asarray(arrays["signs"]), np.ascontiguousarray(arrays["values"])
    costs, groups = np.full(len(signs), settings["cost"]), _groups(settings["sizes"])
    own = {name: settings[name] for name in ("seed", "max_passes")}
    with thread_pool() as pool:
        found = solve_rows(values, signs, costs, settings["tolerance"], groups, pool, **own)
    return {name: getattr(found, name) for name in _HYPERPLANES}


def solve_streamed_remotely(
    remote: Remote,
    rows: Rows,
    signs: np.ndarray,
    cost: float,
    tolerance: float,
    *,
    seed: int = 0,
    max_passes: int = 1000,
) -> Hyperplanes:
    """As `streaming.solve_streamed` of the rows that any problem has, `shuffled`."""
    return solve_in_rounds(_Rounds(remote, rows, signs, cost, seed), tolerance, max_passes)


class _Rounds:
    """Rounds whose every block of problems is somewhere else."""

    def __init__(self, remote: Remote, rows: Rows, signs: np.ndarray, cost: float, seed: int) -> None:
        self.remote, self.signs = remote, signs
        self.alpha, self.weights = np.zeros(signs.shape), np.zeros((len(signs), rows.shape[1] + 1))
        self._generator = np.random.default_rng(seed)
        chosen = np.flatnonzero(signs.any(axis=0))
        # rows without a feature: the order of their blocks is all that they are for
        self._blocks = shuffled(np.empty((len(rows), 0), np.int8), chosen)
        values = (
            {"positive": rows.positive, "negative": rows.negative}
            if isinstance(rows, PackedCodes)
            else {"values": rows}
        )
        self._shared: Arrays = {**values, "chosen": chosen}
        self._settings = {"features": rows.shape[1], "cost": cost}

    def _job(self, problems: np.ndarray, settings: dict[str, Any], **arrays: np.ndarray) -> BlockJob:
        own = {"signs": self.signs[problems], "alpha": self.alpha[problems], **arrays}
        return {**self._settings, **settings, "order": self._generator.bit_generator.state}, own

    def descend(self, live: np.ndarray, target: np.ndarray, clock: Clock) -> tuple[np.ndarray, int]:
        """As Rounds has it."""
        bundles = _bundles(groups_of_stream(live), self.remote.groups)
        jobs = []
        for groups in bundles:
            own = np.concatenate(groups)
            settings = {"sizes": list(map(len, groups)), "clock": [clock.done, clock.due, clock.most]}
            jobs.append(self._job(own, settings, weights=self.weights[own], target=target[own]))
        passes = []
        for groups, found in zip(bundles, self.remote("descend", self._shared, jobs), strict=True):
            self.alpha[np.concatenate(groups)] = found["alpha"]
            passes.append(np.array(found["passes"]))
        every = np.concatenate(passes)
        done = int(every.max(initial=clock.done))
        for _ in range(done - clock.done):
            for _, rows in self._blocks(self._generator):
                self._generator.permutation(len(rows))
        return every, done

    def certify(self) -> tuple[np.ndarray, np.ndarray]:
        """As Rounds has it."""
        blocks = list(spans(len(self.signs), GROUP * self.remote.groups))
        jobs = [self._job(np.arange(len(self.signs))[own], {}) for own in blocks]
        primal, dual = np.empty(len(self.signs)), np.empty(len(self.signs))
        for own, found in zip(blocks, self.remote("certify", self._shared, jobs), strict=True):
            self.weights[own], primal[own], dual[own] = (found[name] for name in ("weights", "primal", "dual"))
        for _ in range(2):
            for _ in self._blocks(self._generator):
                pass
        return primal, dual


def _descend_block(settings: Mapping[str, Any], arrays: Arrays) -> Arrays:
    with thread_pool() as pool:
        state = _stream(settings, arrays, pool)
        state.weights[:] = arrays["weights"]
        groups = _groups(settings["sizes"])
        passes, _ = state.descend_groups(groups, np.asarray(arrays["target"]), Clock(*settings["clock"]))
    return {"alpha": state.alpha, "passes": passes}


def _certify_block(settings: Mapping[str, Any], arrays: Arrays) -> Arrays:
    with thread_pool() as pool:
        state = _stream(settings, arrays, pool)
        primal, dual = state.certify()
    return {"weights": state.weights, "primal": primal, "dual": dual}


def _stream(settings: Mapping[str, Any], arrays: Arrays, pool: Any) -> Stream:
    features = settings["features"]
    planes = [np.asarray(arrays[name]) for name in ("positive", "negative") if name in arrays]
    rows = PackedCodes(planes[0], planes[1], features) if planes else np.asarray(arrays["values"])
    signs, generator = np.asarray(arrays["signs"]), np.random.default_rng()
    generator.bit_generator.state = settings["order"]
    blocks = shuffled(rows, np.asarray(arrays["chosen"]))
    state = Stream(blocks, signs, features, np.full(len(signs), settings["cost"]), pool, generator)
    state.alpha[:] = arrays["alpha"]
    return state


WORKS = {"dual": _dual_block, "rows": _rows_block, "descend": _descend_block, "certify": _certify_block}


def _bundles(groups: Sequence[np.ndarray], count: int) -> list[Sequence[np.ndarray]]:
    return [groups[own] for own in spans(len(groups), count)]


def _groups(sizes: Sequence[int]) -> list[np.ndarray]:
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
