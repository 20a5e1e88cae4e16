"""What labels say of principal components: how rows vary within their classes, and along which axes classes differ.

With S the covariance of rows minus the means of their classes, shrunk to S_s, the components are multiplied by
S_s^(-1/2): within a class they vary alike in all directions then, and what is left between classes counts. Its
eigenvectors, the largest eigenvalue first, are the axes of linear discriminant analysis (those of scikit-learn's
`solver="eigen"`, but for the shrinkage).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding.pieces.principal import BLOCK, Batches, covariance, in_blocks, projected
from fne_cli.numerics.statistics.spread import Spread

_LEAST = 1e-6  # that an estimate may be: a covariance without full rank has no inverse


def turned(
    axes: np.ndarray,
    centre: np.ndarray,
    batches: Batches,
    labels: np.ndarray,
    discriminants: int,
    piece: str,
    pool: Executor,
) -> np.ndarray:
    """The axes (components, features) times S_s^(-1/2); with `discriminants` so many of the axes between classes.

    batches: of the rows (n, features) that the axes and their centre were found in; labels: (n,) of them. The shrinkage
    is that of O. Ledoit and M. Wolf (`Spread`). piece: what it is called in errors. Raises BadInput for several labels
    of a row, one class, more discriminants than classes but one, and classes without a spread.
    """
    from scipy.linalg import eigh

    if labels.ndim != 1:
        raise BadInput(f"The piece {piece} of an embedding should have one label of every row. Found: several.")
    classes, own, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2 or discriminants > len(classes) - 1:
        raise BadInput(
            f"The piece {f'lda:{discriminants}' if discriminants else piece} of an embedding should have training rows "
            f"of at least {max(2, discriminants + 1):,} classes. Found: {len(classes):,}."
        )

    def components() -> Iterable[np.ndarray]:
        return (projected(block, centre, axes) for block in in_blocks(batches(), BLOCK))

    means, start = np.zeros((len(classes), len(axes))), 0
    for block in components():
        np.add.at(means, own[start : start + len(block)], block)
        start += len(block)
    means /= counts[:, None]
    power = fourth = 0.0

    def residuals() -> Iterable[np.ndarray]:
        nonlocal power, fourth
        start = 0
        for block in components():
            power += float(np.einsum("nk,nk->", block, block))
            apart = block - means[own[start : start + len(block)]]
            start += len(block)
            fourth += float((np.einsum("nk,nk->n", apart, apart) ** 2).sum())
            yield apart

    scatter = covariance(residuals, len(labels), np.zeros(len(axes)), pool) / len(labels)
    scatter = np.triu(scatter) + np.triu(scatter, 1).T
    squared = float((scatter**2).sum())
    spread = Spread(len(labels), len(axes), power / len(labels), float(scatter.trace()), squared, fourth)
    if not spread.varies:
        raise BadInput(
            f"The piece {piece} of an embedding should have training rows that differ from the mean of their class. "
            "Found: none, such as with one image for each class."
        )
    shrinkage = max(_LEAST, spread.shrinkage)
    scatter *= 1 - shrinkage
    scatter.flat[:: len(scatter) + 1] += shrinkage * spread.mean
    variances, vectors = eigh(scatter, check_finite=False)
    whitening = (vectors / np.sqrt(variances)) @ vectors.T
    if not discriminants:
        return whitening @ axes
    between = (means * np.sqrt(counts / len(labels))[:, None]) @ whitening  # the centre of the components is 0
    _, directions = eigh(between.T @ between, check_finite=False)
    found = directions[:, : -discriminants - 1 : -1].T @ whitening @ axes
    largest = np.abs(found).argmax(axis=1)
    found *= np.sign(found[np.arange(len(found)), largest])[:, None]
    return found
