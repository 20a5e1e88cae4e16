"""Newton's method for logistic regression: conjugate gradients for its steps, the duality gap as its end.

min over (W, b) of C sum_i loss_i(W x_i + b) + 1/2 |W|^2, the intercepts b free. They are made the best ones for W
before every step, so the slopes C S of the losses, S being probabilities minus targets, sum up to 0 over the rows. Then
-C S is a point of the dual problem, and the objective minus the dual objective there is half the squared length of the
gradient W + C S'X, exactly: the optimum is no further below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.logistic.losses import Loss

Carried = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From S (rows, columns): S'X in some coordinates (coordinates, columns), and its products with the rows (rows,
columns)."""
Inner = Callable[["Element", "Element"], np.ndarray]

_STEPS, _INNER = 100, 500


@dataclass(frozen=True)
class Element:
    """Hyperplanes in some coordinates (coordinates, columns), and their products with the rows (rows, columns)."""

    coordinates: np.ndarray
    decisions: np.ndarray

    def plus(self, other: Element, factor: np.ndarray | float) -> Element:
        """The sum of this one and a multiple of another, for each column."""
        return Element(self.coordinates + factor * other.coordinates, self.decisions + factor * other.decisions)


@dataclass(frozen=True)
class Minimum:
    """planes and intercepts (columns,); objective and gap, the absolute one, of each problem. products: of matrices."""

    planes: Element
    intercepts: np.ndarray
    objective: np.ndarray
    gap: np.ndarray
    products: int


@dataclass(frozen=True)
class Newton:
    """dual: whether coordinates are coefficients of the rows, whose inner product is that of the decisions."""

    loss: Loss
    carried: Carried
    dual: bool

    def solved(self, cost: float, tolerance: float, start: Minimum) -> Minimum:
        """From `start` until every problem's gap is at most `tolerance` times its objective."""
        planes, intercepts, products = start.planes, start.intercepts, start.products
        while True:
            intercepts = self.loss.centred(planes.decisions, intercepts)
            probabilities = self.loss.probabilities(planes.decisions + intercepts)
            gradient = planes.plus(Element(*self.carried(self.loss.apart(probabilities))), cost)
            products += 1
            objective = cost * self.loss.value(planes.decisions + intercepts) + 0.5 * self._inner(planes, planes)
            gap = 0.5 * np.maximum(self._inner(gradient, gradient), 0.0)
            if (gap <= tolerance * objective).all() or products >= _STEPS * _INNER:
                return Minimum(planes, intercepts, objective, gap, products)
            relative = gap / np.where(objective > 0, objective, 1.0)
            step, shift, count = self._step(probabilities, gradient, cost, relative, tolerance)
            products += count
            length = self._length(planes, step, intercepts, shift, objective, cost)
            if not length.any():
                return Minimum(planes, intercepts, objective, gap, products)
            planes, intercepts = planes.plus(step, length), intercepts + length * shift

    def _inner(self, one: Element, other: Element) -> np.ndarray:
        values = other.decisions if self.dual else other.coordinates
        return self.loss.total(np.einsum("nk,nk->k", one.coordinates, values))

    def _curved(self, probabilities: np.ndarray, decisions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How probabilities change with decision values and the intercepts that follow them; and these."""
        slope = self.loss.curved(probabilities, decisions).sum(axis=0)
        shift = -self.loss.shift(probabilities, slope)
        return self.loss.curved(probabilities, decisions + shift), shift

    def _step(
        self, probabilities: np.ndarray, gradient: Element, cost: float, relative: np.ndarray, tolerance: float
    ) -> tuple[Element, np.ndarray, int]:
        """About the minimum of the quadratic model, the shift of the intercepts, and how many products it took."""
        residual = Element(-gradient.coordinates, -gradient.decisions)
        direction = residual
        size = first = self._inner(residual, residual)
        step = Element(np.zeros_like(residual.coordinates), np.zeros_like(residual.decisions))
        # nearer to the optimum the model is better, and worth more; but never more than the end asks for
        needed = 0.5 * np.sqrt(tolerance / np.maximum(relative, np.finfo(float).tiny))
        wanted = np.clip(np.sqrt(relative), np.minimum(needed, 0.3), 0.3)
        count = 0
        while count < _INNER:
            count += 1
            curved, _ = self._curved(probabilities, direction.decisions)
            bent = direction.plus(Element(*self.carried(curved)), cost)
            curvature = self._inner(direction, bent)
            moving = (size > wanted**2 * first) & (curvature > 0)
            if not moving.any():
                break
            length = np.divide(size, curvature, out=np.zeros_like(size), where=moving)
            step = step.plus(direction, length)
            residual = residual.plus(bent, -length)
            before, size = size, np.maximum(self._inner(residual, residual), 0.0)
            if not (size > wanted**2 * first).any():
                break
            ratio = np.divide(size, before, out=np.zeros_like(size), where=moving)
            direction = residual.plus(direction, ratio)
        slope = self.loss.curved(probabilities, step.decisions).sum(axis=0)
        return step, -self.loss.shift(probabilities, slope), count

    def _length(
        self,
        planes: Element,
        step: Element,
        intercepts: np.ndarray,
        shift: np.ndarray,
        objective: np.ndarray,
        cost: float,
    ) -> np.ndarray:
        """How far to go along a step, 1 if that is not too far; 0 where only rounding is left."""
        own, cross, square = self._inner(planes, planes), self._inner(planes, step), self._inner(step, step)
        length = np.ones_like(objective)
        for _ in range(40):
            decisions = planes.decisions + length * step.decisions + intercepts + length * shift
            value = cost * self.loss.value(decisions) + 0.5 * (own + 2 * length * cross + length**2 * square)
            worse = value > objective
            if not worse.any():
                return length
            length = np.where(worse, length / 2, length)
        return np.where(worse, 0.0, length)
