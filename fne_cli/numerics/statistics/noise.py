"""How large |s| is by chance: random classes of the sizes that occur, and what they say of the real ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.numerics.statistics.behavior import Groups, signed_ks

# Finer towards 1, where the noise ends.
LEVELS = np.concatenate([np.arange(90) / 100, np.arange(900, 999) / 1000, np.arange(9990, 10001) / 10000])


@dataclass(frozen=True)
class RandomClasses:
    """`draws` random classes of each size, without replacement. A round is a set of them without a common image.

    sizes: (m,) int64 ascending. rounds: their groups, and for each class its number, size * draws + draw.
    """

    sizes: np.ndarray
    draws: int
    rounds: tuple[tuple[Groups, np.ndarray], ...]

    @classmethod
    def of(cls, sizes: np.ndarray, images: int, draws: int, seed: int) -> Self:
        """Of n images; each class is a uniform draw of its size. Those of one round exclude each other's images."""
        sizes = np.unique(sizes)
        generator = np.random.default_rng(seed)
        rounds: list[tuple[Groups, np.ndarray]] = []
        numbers: list[int] = []
        # the draws of a size follow each other by the number of sizes, so that large and small share a round
        wanted = [number * draws + draw for draw in range(draws) for number in range(len(sizes))]
        free = images

        def close() -> None:
            members = sizes[np.array(numbers) // draws]
            order, labels = generator.permutation(images), np.full(images, -1, np.int32)
            labels[order[: members.sum()]] = np.repeat(np.arange(len(numbers)), members)
            rounds.append((Groups.of(labels, len(numbers)), np.array(numbers)))

        for number in wanted:
            size = int(sizes[number // draws])
            if size > free:
                close()
                numbers, free = [], images
            numbers.append(number)
            free -= size
        if numbers:
            close()
        return cls(sizes, draws, tuple(rounds))

    def strengths(self, keys: np.ndarray, out: np.ndarray) -> None:
        """Write |s| of every random class, (sizes * draws, features) of any float type, from `sorted_keys`."""
        for groups, numbers in self.rounds:
            out[numbers] = np.abs(signed_ks(keys, groups)).T


@dataclass(frozen=True)
class Noise:
    """|s| of random classes over all features: sizes (m,) int64 ascending, values (m, N), each row ascending."""

    sizes: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray, strengths: np.ndarray) -> Self:
        """From (m * draws, features), as `strengths` fills it; sorted in place."""
        values = strengths.reshape(len(sizes), -1)
        for row in values:
            row.sort()
        return cls(sizes, values)

    def quantiles(self) -> np.ndarray:
        """At LEVELS, (m, len(LEVELS)) float64: the value that at most a share 1 - level of the random ones exceed."""
        last = self.values.shape[1] - 1
        places = [max(0, last - self.place_of_share(1 - level)) for level in LEVELS.tolist()]
        return self.values[:, places].astype(np.float64)

    def place_of_share(self, alpha: float) -> int:
        """How many random values of a size may lie above the threshold: a share of at most alpha of them."""
        # 1 - 0.95 is a little more than 0.05, and 0.29 * 100 a little less than 29
        return int(np.floor(alpha * self.values.shape[1] + 1e-6))

    def place_of_discoveries(self, blocks: Iterable[np.ndarray], counts: np.ndarray, rate: float) -> int:
        """The same for a false discovery rate (Benjamini and Hochberg, 1995); -1 if no pair is to be accepted.

        blocks: s of all pairs in parts, (features, k); counts: (k,) images of each class, 0 for one that is left out.
        The p-value of a pair is (1 + random values of its size at least as large) / (1 + N), never 0 (Phipson and
        Smyth, 2010). So p is one of N + 1 numbers, and how often each occurs is all that the procedure needs.
        """
        total = self.values.shape[1]
        table = np.zeros(total + 1, np.int64)
        for s in blocks:
            for column in np.flatnonzero(counts):
                above = self._at_least(np.abs(s[:, column]), int(counts[column]))
                table += np.bincount(above, minlength=total + 1)
        accepted = np.cumsum(table)
        p = np.arange(1, total + 2) / (total + 1)
        passed = np.flatnonzero(p <= rate * accepted / max(1, accepted[-1]))
        return int(passed[-1]) if len(passed) else -1

    def _at_least(self, strengths: np.ndarray, size: int) -> np.ndarray:
        row = self.values[np.searchsorted(self.sizes, size)]
        return len(row) - np.searchsorted(row, strengths)

    def thresholds(self, place: int, counts: np.ndarray) -> np.ndarray:
        """(k,) float64: the value of each class's size that `place` random ones may lie above; NaN for counts of 0.

        |s| > threshold means: at most `place` random values are at least as large. Nothing is above 1 (place -1).
        """
        found = np.full(len(counts), np.nan)
        for column in np.flatnonzero(counts):
            row = self.values[np.searchsorted(self.sizes, counts[column])]
            found[column] = row[len(row) - 1 - place] if 0 <= place < len(row) else 1.0
        return found


def labelled(s: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(features, k) int8: 1 presence, -1 absence, 0 uncharacteristic (and where s is NaN)."""
    return (s > thresholds).astype(np.int8) - (s < -thresholds).astype(np.int8)
