"""Two classifiers on the same test images: whether the one is better than the other, or luck would do as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL, DRAWS = 0.95, 2000
_EXACT = 1 << 14  # sums of absolute differences up to which their distribution is computed and not taken for normal


@dataclass(frozen=True)
class Paired:
    """The first less the second, in fractions.

    difference: of mean per-class accuracy; low, high: its 95 % interval by a paired bootstrap. only_first, only_second:
    images that the one alone has right; None after several trainings, which have no such images. p: McNemar's exact
    p-value, after several trainings that of `sign_test`, which is the same for trainings that are alike. ahead: how
    many more images the first has right, in all trainings.
    """

    difference: float
    low: float
    high: float
    only_first: int | None
    only_second: int | None
    p: float
    ahead: float

    @property
    def significant(self) -> bool:
        """Whether the interval leaves 0 out, and p is below 5 %, to the same side."""
        beyond = (self.low > 0 and self.ahead > 0) or (self.high < 0 and self.ahead < 0)
        return self.p < 1 - LEVEL and beyond


def compared(first: np.ndarray, second: np.ndarray, truth: np.ndarray, seed: int = 0) -> Paired:
    """What can be said of two classifiers. first, second: which images are right, (trainings, images) bool.

    Row t of both is of the same training images. truth: the class of every image, (images,) int.
    """
    differences = first.astype(np.int8) - second.astype(np.int8)
    difference, low, high = mean_difference(differences, truth, seed)
    net = int(differences.sum(dtype=np.int64))
    if len(differences) > 1:
        return Paired(difference, low, high, None, None, sign_test(differences.sum(axis=0, dtype=np.int64)), net)
    ahead, behind = int((differences > 0).sum()), int((differences < 0).sum())
    return Paired(difference, low, high, ahead, behind, mcnemar(ahead, behind), net)


def over_splits(found: Sequence[Paired]) -> Paired:
    """Several splits as one, whatever images their test sets share: the mean difference and what is certain of it.

    p: twice the median of those of the splits, which is a p-value however they depend on each other (B. Rueger, "Das
    maximale Signifikanzniveau des Tests ...", Metrika 25, 1978). low, high: the means of the ends of their intervals;
    the standard error of a mean is at most the mean of the standard errors.
    """
    values = np.array([(one.difference, one.low, one.high, one.ahead) for one in found]).mean(axis=0).tolist()
    p = min(1.0, 2 * float(np.median([one.p for one in found])))
    return Paired(values[0], values[1], values[2], None, None, p, values[3])


def sign_test(sums: np.ndarray) -> float:
    """The two-sided p-value of the sum of `sums`, (images,) whole numbers, if each could as well have the other sign.

    sums: how many more trainings of the first classifier than of the second have each image right. The distribution is
    exact by its Fourier transform, a product of cosines; for large sums it is taken for normal.
    """
    from scipy.special import ndtr

    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    total, most = abs(int(sums.sum())), int((sizes * counts).sum())
    if total == 0:
        return 1.0
    if most > _EXACT:
        return float(2 * ndtr(-total / np.sqrt((sizes.astype(float) ** 2 * counts).sum())))
    angles = 2 * np.pi * np.arange(2 * most + 1) / (2 * most + 1)
    wave = np.prod([np.cos(angles * size) ** count for size, count in zip(sizes, counts, strict=True)], axis=0)
    chances = np.fft.fftshift(np.fft.ifft(wave).real)  # of -most ... most
    least = 2.0 ** (1 - counts.sum())  # nothing has a smaller chance than both ends together; sums of waves round
    return float(min(1.0, max(2 * chances[most + total :].sum(), least)))


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: such a division, or a more uneven one, by fair coins.

    Of the images that one classifier alone has right, as many should be the one's as the other's. Q. McNemar, "Note on
    the sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947.
    """
    from scipy.special import bdtr

    fewer, both = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(bdtr(fewer, both, 0.5)))


def mean_difference(
    differences: np.ndarray, truth: np.ndarray, seed: int = 0, draws: int = DRAWS
) -> tuple[float, float, float]:
    """The difference of mean per-class accuracy, and its 95 % percentile interval by a paired bootstrap.

    differences (trainings, images): 1 where the first classifier alone is right, -1 where the second is, else 0. An
    image is drawn with what both said of it, within its class, and n - 1 of its n images, as drawing n would make the
    interval too narrow for small classes (Rao and Wu, "Resampling inference with complex survey data", JASA 83, 1988).
    A class of one image says nothing about how it varies; it varies as all images do. Of several trainings these are
    drawn, too: one less than there are.
    """
    trainings = len(differences)
    generator = np.random.default_rng(seed)
    everything = _Values.of(differences)
    total = np.zeros(trainings)
    drawn = np.zeros((draws, trainings))
    classes = np.unique(truth)
    for label in classes:
        own = _Values.of(differences[:, truth == label])
        total += own.mean
        if own.images > 1:
            drawn += own.drawn(generator, own.images - 1, draws)
        else:
            drawn += own.mean + everything.drawn(generator, 1, draws) - everything.mean
    drawn /= len(classes)
    if trainings > 1:
        weights = generator.multinomial(trainings - 1, np.full(trainings, 1 / trainings), draws)
        means = (drawn * weights).sum(axis=1) / (trainings - 1)
    else:
        means = drawn[:, 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(total.mean() / len(classes)), float(low), float(high)


@dataclass(frozen=True)
class _Values:
    """The different columns of a matrix, (kinds, trainings), and how many images have each, (kinds,)."""

    values: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, differences: np.ndarray) -> _Values:
        values, counts = np.unique(differences.T, axis=0, return_counts=True)
        return cls(values.astype(float), counts)

    @property
    def images(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> np.ndarray:
        """(trainings,)."""
        return self.counts @ self.values / self.images

    def drawn(self, generator: np.random.Generator, images: int, draws: int) -> np.ndarray:
        """The means of so many images drawn with replacement, (draws, trainings)."""
        if len(self.values) == 1:
            return np.repeat(self.values, draws, axis=0)
        return generator.multinomial(images, self.counts / self.images, draws) @ self.values / images
