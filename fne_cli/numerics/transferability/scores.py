"""Figures that say how well rows fit classes, from products alone: nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fne_cli.numerics.transferability.products import Products, Spectrum

STEPS, CLOSE = 11, 1e-3
_LEAST = 1e-5  # keeps the authors' denominators from 0


@dataclass(frozen=True)
class Evidence:
    """Of the classes given the rows, the logarithm of the maximum, by row, mean over classes.

    log_me: as the authors' code has it. whole: of all features. The code sums over the directions that it has, of which
    there are no more than rows, but counts the weights of all features: with more features than rows it leaves out
    (features - rows) / 2 * log alpha, which for small weights is much and positive. Elsewhere the two are the same.
    """

    log_me: float
    whole: float


def evidence(spectrum: Spectrum) -> Evidence:
    """LogME: how well linear regressions explain the classes, weights and noise taken into account. Larger is better.

    For each class a Bayesian linear regression of its 0/1 column, without intercept; the precisions alpha of its
    weights and beta of its noise begin at 1 and are improved until their ratio is within 1e-3, at most 11 times. K.
    You, Y. Liu, J. Wang and M. Long, "LogME: Practical assessment of pre-trained models for transfer learning", ICML
    2021; the fixed point is that of their "Ranking and tuning pre-trained models" (arXiv 2110.10545), which their code
    takes. Only rows of the same images and classes can be compared.
    """
    found = [_evidence(spectrum, label) for label in range(len(spectrum.counts))]
    log_me, whole = np.mean(found, axis=0)
    return Evidence(float(log_me), float(whole))


def _evidence(spectrum: Spectrum, label: int) -> tuple[float, float]:
    """Of one class, as Evidence has them."""
    sigma, squares = spectrum.sigma, spectrum.squares[:, label]
    rows, outside = spectrum.rows, float(spectrum.counts[label] - squares.sum())
    alpha = beta = 1.0
    known = weights = residual = 0.0
    for _ in range(STEPS):
        ratio = alpha / beta
        known = float((sigma / (sigma + ratio)).sum())
        unknown = rows - len(sigma) + float((ratio / (sigma + ratio)).sum())
        weights = float((sigma * squares / (ratio + sigma) ** 2).sum())
        residual = float((squares / (1 + sigma / ratio) ** 2).sum()) + outside
        beta = unknown / (residual + _LEAST)
        if not known:  # all features are 0, and there is nothing to weigh
            break
        alpha = known / (weights + _LEAST)
        if abs(alpha / beta - ratio) / ratio <= CLOSE:
            break
    noise = rows * np.log(beta) - beta * residual - rows * np.log(2 * np.pi)
    if not known:
        return noise / 2 / rows, noise / 2 / rows
    whole = noise + len(sigma) * np.log(alpha) - alpha * weights - np.log(alpha + beta * sigma).sum()
    return (whole + (spectrum.features - len(sigma)) * np.log(alpha)) / 2 / rows, whole / 2 / rows


def h_score(products: Products) -> tuple[float, float]:
    """The H-score with a shrunk covariance, trace of cov(F)^-1 cov(E[F|class]), and the shrinkage.

    Y. Bao et al., "An information-theoretic approach to transferability in task transfer learning", ICIP 2019; the
    covariance of the rows is Ledoit and Wolf's, as S. Ibrahim, N. Ponomareva and R. Mazumder advise ("Newer is not
    always better", 2021; they also multiply by 1 - shrinkage, which this does not). Without shrinkage it is between 0
    and the number of classes less one. 0 if nothing varies.
    """
    spread = products.spread()
    if not spread.varies:
        return 0.0, 0.0
    shrinkage = spread.shrinkage
    return products.between(shrinkage, spread.mean), shrinkage
