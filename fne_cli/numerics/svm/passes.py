"""What a pass of coordinate descent is made of: steps, their effect on all rows, momentum, and the two objectives."""

from __future__ import annotations

import numpy as np

from fne_cli.compiled import compiled

BLOCK = 128
"""Rows that follow one another in the cache."""


def objectives(
    signs: np.ndarray, alpha: np.ndarray, products: np.ndarray, cost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The primal and the dual objective of every problem, float64, from alpha and its products."""
    norm, slack, total, squares = np.empty((4, len(signs)))
    _sums(signs, alpha, products, norm, slack, total, squares)
    return 0.5 * norm + cost * slack, total - 0.5 * norm - squares / (4 * cost)


@compiled(f"void(int8[:,::1], float64[:,::1], float64[:,::1]{', float64[::1]' * 4})", any_order=True)
def _sums(
    signs: np.ndarray,
    alpha: np.ndarray,
    products: np.ndarray,
    norm: np.ndarray,
    slack: np.ndarray,
    total: np.ndarray,
    squares: np.ndarray,
) -> None:
    """Fill, for every problem: |w|^2, the squared slacks, the sum of alpha and that of its squares."""
    for k in range(len(signs)):
        a = b = c = d = 0.0
        own, found, sign = alpha[k], products[k], signs[k]
        for i in range(len(own)):
            below = (1.0 if sign[i] != 0 else 0.0) - sign[i] * found[i]
            below = max(0.0, below)
            a += own[i] * sign[i] * found[i]
            b += below * below
            c += own[i]
            d += own[i] * own[i]
        norm[k], slack[k], total[k], squares[k] = a, b, c, d


class Momentum:
    """Between passes, go on in the direction of the last one: Nesterov's extrapolation of every problem's state.

    alpha may become negative; the next pass puts every coordinate back, so that after a pass the state is feasible. The
    weight grows slowly, so that easy problems, solved in a few passes, are not thrown past the optimum, and starts
    again when the dual objective falls (O'Donoghue and Candes, "Adaptive restart for accelerated gradient schemes",
    Found. Comput. Math. 15, 2015).
    """

    def __init__(self, *state: np.ndarray) -> None:
        self._last = [part.copy() for part in state]
        self._age = np.zeros(len(state[0]))
        self._dual = np.full(len(state[0]), -np.inf)

    def keep(self, problems: np.ndarray) -> None:
        """Go on with some of the problems."""
        self._last = [part[problems] for part in self._last]
        self._age, self._dual = self._age[problems], self._dual[problems]

    def push(self, dual: np.ndarray, *state: np.ndarray) -> None:
        """Extrapolate the state, (problems, any) arrays, in place; dual (problems,) is its objective."""
        self._age[dual < self._dual] = 0
        self._dual = dual
        # the first pass comes from nothing and says little about the way
        weight = np.maximum(0.0, (self._age - 1) / (self._age + 10))
        for last, part in zip(self._last, state, strict=True):
            _extrapolate(last, part, weight)
        self._age += 1


@compiled(*(f"void({real}[:,::1], {real}[:,::1], float64[::1])" for real in ("float32", "float64")))
def _extrapolate(last: np.ndarray, part: np.ndarray, weight: np.ndarray) -> None:
    """Move part (problems, any) on by so many times the way from last, which becomes what it was."""
    real = part.dtype.type
    for k in range(len(part)):
        own, before = part[k], last[k]
        for i in range(len(own)):
            step = own[i] - before[i]
            before[i] = own[i]
            own[i] += real(weight[k] * step)


_KERNEL = "void(float64[:,::1], int8[:,::1], float64[:,::1], int64[::1], {0}[:,::1], float64[::1], {0}[:,::1])"


@compiled(_KERNEL.format("float32"), _KERNEL.format("float64"))
def descend(
    products: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    rows: np.ndarray,
    block: np.ndarray,
    half: np.ndarray,
    steps: np.ndarray,
) -> None:
    """One coordinate step for each of `rows` in turn, every problem by itself; changes alpha and fills steps.

    block is the Gram matrix of these rows, half is 1 / (2C). steps (problems, rows) is the change of a_i y_i, rounded
    to the type of the matrix so that alpha and the products that are made of it move together.
    """
    size = len(rows)
    local = np.empty(size, block.dtype)
    for k in range(len(signs)):
        for i in range(size):
            local[i] = products[k, rows[i]]
        for i in range(size):
            row = rows[i]
            sign = signs[k, row]
            steps[k, i] = 0
            if sign == 0:
                continue
            before = alpha[k, row]
            after = max(0.0, before - (sign * local[i] - 1.0 + before * half[k]) / (block[i, i] + half[k]))
            if after == before:
                continue
            steps[k, i] = (after - before) * sign
            step = steps[k, i]
            alpha[k, row] = 0.0 if after == 0.0 else max(0.0, before + step * sign)
            for j in range(i + 1, size):
                local[j] += step * block[i, j]


_DENSE = 0.5  # of the rows of a block, from which on a matrix product is faster


@compiled()
def _add(gram: np.ndarray, rows: np.ndarray, places: np.ndarray, steps: np.ndarray, total: np.ndarray) -> None:
    """Fill total with the sum of those of `rows` that have these places, each so many times; four at a time."""
    real = total.dtype.type
    count, width = len(places), len(total)
    odd = count % 4
    total[:] = 0
    for i in range(odd):
        step, row = steps[i], gram[rows[places[i]]]
        for j in range(width):
            total[j] += step * real(row[j])
    for i in range(odd, count, 4):
        s0, s1, s2, s3 = steps[i], steps[i + 1], steps[i + 2], steps[i + 3]
        r0, r1 = gram[rows[places[i]]], gram[rows[places[i + 1]]]
        r2, r3 = gram[rows[places[i + 2]]], gram[rows[places[i + 3]]]
        for j in range(width):
            total[j] += (s0 * real(r0[j]) + s1 * real(r1[j])) + (s2 * real(r2[j]) + s3 * real(r3[j]))


@compiled(*(f"void({kind}[:,::1], float64[:,::1], float64[:,::1])" for kind in ("int16", "float32", "float64")))
def add_rows(gram: np.ndarray, times: np.ndarray, products: np.ndarray) -> None:
    """Add to products (problems, n) every row of the matrix as often as times (problems, n) say, in float64."""
    total, places = np.empty(len(gram)), np.empty(BLOCK, np.int64)
    steps = np.empty(BLOCK)
    for start in range(0, len(gram), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(gram)))
        for k in range(len(times)):
            count = 0
            for i in range(len(rows)):
                if times[k, rows[i]] != 0.0:
                    places[count], steps[count] = i, times[k, rows[i]]
                    count += 1
            if count > 0:
                _add(gram, rows, places[:count], steps, total)
                products[k] += total


@compiled()
def _steps(
    gram: np.ndarray,
    rows: np.ndarray,
    products: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    half: float,
    small: np.ndarray,
    known: np.ndarray,
    steps: np.ndarray,
    places: np.ndarray,
) -> int:
    """The steps of one problem in a block, and whose they are: fill steps and places, return how many; change alpha.

    small (block, block) is the Gram matrix of the rows as far as it is known: every row of it from its first step on.
    """
    real, size, count = steps.dtype.type, len(rows), 0
    local = np.empty(size, steps.dtype)
    for i in range(size):
        local[i] = products[rows[i]]
    for i in range(size):
        row = rows[i]
        sign, before = signs[row], alpha[row]
        if sign == 0 or (before == 0.0 and sign * local[i] >= 1.0):
            continue
        if not known[i]:
            known[i] = True
            for j in range(i, size):
                small[i, j] = gram[row, rows[j]]
        after = max(0.0, before - (sign * local[i] - 1.0 + before * half) / (small[i, i] + half))
        if after == before:
            continue
        step = real((after - before) * sign)
        steps[count], places[count] = step, i
        count += 1
        alpha[row] = 0.0 if after == 0.0 else max(0.0, before + step * sign)
        for j in range(i + 1, size):
            local[j] += step * small[i, j]
    return count


_SWEEP = (
    "void({0}[:,::1], int64[::1], float64[:,::1], int8[:,::1], float64[:,::1], float64[::1], {1}[:,::1], {1}[:,::1])"
)


@compiled(*(_SWEEP.format(*pair) for pair in (("int16", "float32"), ("float32", "float32"), ("float64", "float64"))))
def sweep(
    gram: np.ndarray,
    order: np.ndarray,
    products: np.ndarray,
    signs: np.ndarray,
    alpha: np.ndarray,
    half: np.ndarray,
    panel: np.ndarray,
    change: np.ndarray,
) -> None:
    """One pass: a coordinate step for each row of `order`, in blocks; changes alpha and products.

    panel (rows of a block, n) and change (problems, n) are room, in the type of the products of a block. half is
    1 / (2C). A step is rounded to that type, so that alpha and the products that are made of it move together.

    Where most rows of a block move, their effect is one matrix product. Mostly few do, in each problem others: then
    only these are added, from the matrix itself. The interpreter takes no part in a pass, so that threads never wait
    for its lock.
    """
    problems, most = len(signs), len(panel)
    small, known = np.empty((most, most), panel.dtype), np.empty(most, np.bool_)
    steps, places = np.empty((problems, most), panel.dtype), np.empty((problems, most), np.int64)
    counts = np.empty(problems, np.int64)
    for start in range(0, len(order), most):
        rows = order[start : start + most]
        size = len(rows)
        known[:] = False
        for k in range(problems):
            counts[k] = _steps(gram, rows, products[k], signs[k], alpha[k], half[k], small, known, steps[k], places[k])
        if counts.sum() > _DENSE * size * problems:
            together = np.zeros((problems, size), panel.dtype)
            for k in range(problems):
                for i in range(counts[k]):
                    together[k, places[k, i]] = steps[k, i]
            for i in range(size):
                panel[i] = gram[rows[i]]
            np.dot(together, panel[:size], change[:problems])
            products += change[:problems]
        else:
            for k in range(problems):
                if counts[k] > 0:
                    _add(gram, rows, places[k, : counts[k]], steps[k], change[0])
                    products[k] += change[0]
