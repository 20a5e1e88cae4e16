"""Rows of activations that are known already, found by the bytes of the image that they were computed from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from fne_cli.errors import WrongFile
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import GOOD, Layer, differences, without_shard

_BOX = re.compile(r"#-?[\d.]+(,-?[\d.]+){3}$")  # what the id of an image ends in if its row is of a box
_BLOCK_BYTES = 1 << 25  # of rows copied at once
UNKNOWN = -1


def box_of(name: str) -> str:
    """The box that the id of an image names, "" for none."""
    found = _BOX.search(name)
    return "" if found is None else found[0]


def identities(contents: Iterable[str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What the rows of images are known by, of their SHA-256 and ids: the bytes of an image, and the box in it."""
    return zip(contents, map(box_of, names), strict=True)


class KnownFile:
    """The good images of a file, or the first `count` of one that is not finished; `skip` are not to be trusted.

    Raises WrongFile if it was made with other settings, or layers, than are wanted.
    """

    def __init__(
        self,
        file: Reader,
        settings: Mapping[str, Any],
        layers: Sequence[Layer],
        count: int | None = None,
        skip: Sequence[int] = (),
    ) -> None:
        apart = differences(without_shard(dict(settings)), without_shard(file.settings), ("there", "here"))
        there = {name: (layer.shape[1:], layer.dtype) for name, layer in file.layers.items()}
        if not apart and there != {layer.name: (layer.row_shape, layer.dtype) for layer in layers}:
            apart = ["layers of other names, shapes or types"]
        if apart:
            raise WrongFile(
                f"{file.path} should be made as this extraction, for its rows to be used again. Found:\n  "
                + "\n  ".join(apart)
            )
        self.file = file
        self.count = file.length("images/status") if count is None else count
        status = file.column("images/status", 0, self.count)
        status[[number for number in skip if number < self.count]] = GOOD + 1
        self._numbers = np.flatnonzero(status == GOOD)
        keys = np.fromiter(
            (key_of(content, box_of(name)) for name, content in self._texts()), np.uint64, self.count
        )[self._numbers]  # fmt: skip
        order = np.argsort(keys, kind="stable")
        self._keys, self._numbers = keys[order], self._numbers[order]

    def _texts(self) -> Iterator[tuple[str, str]]:
        for start in range(0, self.count, 1 << 15):
            stop = min(start + (1 << 15), self.count)
            columns = (self.file.column(f"images/{name}", start, stop).tolist() for name in ("path", "sha256"))
            for name, content in zip(*columns, strict=True):
                yield name.decode(), content.decode()

    def find(self, contents: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """(n,) int64: where the images of these SHA-256 and ids stand, -1 for those that are not known.

        The key of 64 bits is compared first; whether it really is the image is looked up.
        """
        wanted = np.fromiter(map(key_of, contents, map(box_of, names)), np.uint64, len(contents))
        places = np.searchsorted(self._keys, wanted)
        near = np.minimum(places, max(0, len(self._keys) - 1))
        hits = (self._keys[near] == wanted) if len(self._keys) else np.zeros(len(wanted), bool)
        hits &= np.fromiter(map(bool, contents), bool, len(contents))
        found = np.where(hits, self._numbers[near] if len(self._keys) else UNKNOWN, UNKNOWN)
        stored = [(content, box_of(name)) for name, content in self._texts()] if hits.any() else []
        for number in np.flatnonzero(hits).tolist():
            if stored[found[number]] != (contents[number], box_of(names[number])):
                found[number] = UNKNOWN
        return found

    def rows(self, numbers: np.ndarray, crops: int) -> dict[str, np.ndarray]:
        """The rows of images, as they are stored, in the order of `numbers`. Raises DamagedFile."""
        order = np.argsort(numbers, kind="stable")
        ascending = numbers[order]
        cuts = np.flatnonzero(np.diff(ascending) != 1) + 1
        result = {}
        for name, layer in self.file.layers.items():
            values = np.empty((len(numbers), crops, *layer.shape[1:]), layer.dtype)
            for part, places in zip(np.split(ascending, cuts), np.split(order, cuts), strict=True):
                stored = layer.read_stored(int(part[0]) * crops, (int(part[-1]) + 1) * crops)
                values[places] = stored.reshape(len(part), crops, *layer.shape[1:])
            result[name] = values.reshape(-1, *layer.shape[1:])
        return result


class KnownRows:
    """Several such files as one. Use as a context manager."""

    def __init__(self, layers: Sequence[Layer], crops: int) -> None:
        self.files: list[KnownFile] = []
        self._layers, self.crops = layers, crops
        self._stack = ExitStack()
        row_bytes = sum(layer.row_bytes for layer in layers) * crops
        self.block = max(1, _BLOCK_BYTES // max(1, row_bytes))

    def add(
        self, path: Path, settings: Mapping[str, Any], count: int | None = None, skip: Sequence[int] = ()
    ) -> KnownFile:
        """One more file; with `count` one that is not finished. Raises WrongFile, DamagedFile or BadInput."""
        file = self._stack.enter_context(open_file(path, "activations", unfinished=count is not None))
        self.files.append(KnownFile(file, settings, self._layers, count, skip))
        return self.files[-1]

    def find(self, contents: Sequence[str], names: Sequence[str]) -> np.ndarray:
        """(n, 2) int64: the file, and the image in it, of the first that knows an image; -1 if none does."""
        found = np.full((len(contents), 2), UNKNOWN, np.int64)
        for number, file in enumerate(self.files):
            places = file.find(contents, names)
            new = (found[:, 0] == UNKNOWN) & (places != UNKNOWN)
            found[new] = np.column_stack([np.full(int(new.sum()), number), places[new]])
        return found

    def rows(self, where: np.ndarray) -> dict[str, np.ndarray]:
        """The rows of images that `find` found, (n, 2), in that order."""
        result = {
            layer.name: np.empty((len(where) * self.crops, *layer.row_shape), layer.dtype) for layer in self._layers
        }
        for number in np.unique(where[:, 0]).tolist():
            own = np.flatnonzero(where[:, 0] == number)
            places = (own[:, None] * self.crops + np.arange(self.crops)).ravel()
            for name, values in self.files[number].rows(where[own, 1], self.crops).items():
                result[name][places] = values
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def key_of(content: str, box: str) -> int:
    """64 bits of what an image is known by, to sort and compare first."""
    return int.from_bytes(hashlib.blake2b((content + box).encode(), digest_size=8).digest(), "little")
