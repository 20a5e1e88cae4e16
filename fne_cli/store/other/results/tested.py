"""Which test images each result has right: what two results on the same images are compared by."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fne_cli.store.other.objects import Claim


@dataclass(frozen=True)
class Tested:
    """The images that are measured in some trial, in the order of the file, which have one label each.

    digest: SHA-256 of their ids, contents and classes. truth: the class of each, (n,) int64. fold: by the numbers of
    the trials the one that measures it, (n,) int64, in a cross-validation; else every trial measures all of them.
    """

    digest: str
    truth: np.ndarray
    fold: np.ndarray | None = None

    @classmethod
    def of(
        cls, ids: Sequence[str], contents: Sequence[str], classes: Sequence[str], truth: np.ndarray,
        fold: np.ndarray | None,
    ) -> Tested:  # fmt: skip
        """Of images with these ids and SHA-256, whose classes are `classes[truth]`."""
        names = [classes[label] for label in truth.tolist()]
        said = json.dumps([list(ids), list(contents), names, None if fold is None else fold.tolist()])
        return cls(hashlib.sha256(said.encode()).hexdigest(), truth, fold)

    def described(self) -> dict[str, Any]:
        """As the results have it."""
        said = {"images": len(self.truth), "sha256": self.digest, "truth": self.truth.tolist()}
        return said if self.fold is None else said | {"fold": self.fold.tolist()}


@dataclass(frozen=True)
class Right:
    """Which of the images are right: (trainings, n) bool. A cross-validation measures every image once: one row."""

    of: Tested
    right: np.ndarray


def bits(right: np.ndarray) -> str:
    """Truth values (n,) as base64 of one bit each, the first the highest of its byte."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def read_tested(claim: Claim, classes: int) -> Tested | None:
    """What a results file says of its test images; None if it does not, as before version 3. Raises DamagedFile."""
    if "tested" not in claim.value:
        return None
    part = Claim(claim.path, "tested", claim.value["tested"])
    count = part.count("images")
    truth = _whole_numbers(part, "truth", count, classes - 1)
    fold = _whole_numbers(part, "fold", count, count) if "fold" in part.value else None
    return Tested(part.text("sha256"), truth, fold)


def read_right(part: Claim, tested: Tested | None) -> Right | None:
    """What an entry of the results has right; None if they do not say. Raises DamagedFile."""
    if tested is None:
        return None
    if "trials" not in part.value:
        found = _unpacked(part, len(tested.truth))
        return None if found is None else Right(tested, found[None])
    trials = list(part.parts("each_trial"))
    if tested.fold is None:
        rows = [_unpacked(trial, len(tested.truth)) for trial in trials]
        known = [row for row in rows if row is not None]
        return Right(tested, np.stack(known)) if known and len(known) == len(rows) else None
    together = np.zeros((1, len(tested.truth)), bool)
    measured = np.zeros(len(tested.truth), bool)
    for trial in trials:
        own = tested.fold == trial.count("fold")
        found = _unpacked(trial, int(own.sum()))
        if found is None:
            return None
        together[0, own] = found
        measured |= own
    return Right(tested, together) if measured.all() else None


def same_images(first: Right | None, second: Right | None) -> bool:
    """Whether two results can be compared image by image."""
    return (
        first is not None
        and second is not None
        and first.of.digest == second.of.digest
        and first.right.shape == second.right.shape
    )


def _unpacked(part: Claim, count: int) -> np.ndarray | None:
    """(count,) bool."""
    if "right" not in part.value:
        return None
    text = part.text("right")
    wanted = f"base64 of {count:,} bits"
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise part.wrong("right", wanted, text) from error
    if len(content) != -(-count // 8):
        raise part.wrong("right", wanted, text)
    return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(bool)


def _whole_numbers(part: Claim, key: str, count: int, most: int) -> np.ndarray:
    """(count,) int64 in 0 ... most."""
    found = part.listed(key)
    if len(found) != count or not all(type(one) is int and 0 <= one <= most for one in found):
        raise part.wrong(key, f"{count:,} whole numbers in 0 ... {most:,}", found)
    return np.array(found, np.int64)
