"""Kinds of values that options take: from the text of a command line, or a value of a configuration file."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

import click


class Names(click.ParamType[tuple[str, ...]]):
    """Names or globs with commas between them, or a list in a configuration file."""

    name = "NAMES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """To a tuple of strings."""
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(str(part).strip() for part in parts if str(part).strip())


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, or a list in a configuration file: `count` of them, or one at least.

    `positive`: above 0. `whole`: without a fraction.
    """

    def __init__(self, name: str, count: int | None = None, positive: bool = False, whole: bool = False) -> None:
        self.name, self.count, self.positive, self.whole = name, count, positive, whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """To a tuple of floats, or of ints if they are whole."""
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        try:
            numbers = tuple(float(part) for part in parts)
        except (TypeError, ValueError):
            numbers = ()
        wrong = (
            (len(numbers) != self.count if self.count else not numbers and value != ())
            or not all(map(math.isfinite if self.positive else (lambda number: not math.isnan(number)), numbers))
            or (self.positive and any(number <= 0 for number in numbers))
            or (self.whole and any(number != int(number) for number in numbers))
        )
        if wrong:
            self.fail(f"should be {self.name}, found {value!r}", param, ctx)
        return tuple(int(number) for number in numbers) if self.whole else numbers


class Decays(click.ParamType[tuple[float, ...]]):
    """Numbers of 0 or more with commas between them, or a list in a configuration file."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """To a tuple of floats."""
        what = "numbers of 0 or more, such as 0,0.0005"
        numbers = Numbers(what).convert(value, param, ctx)
        if not all(0 <= number < math.inf for number in numbers):
            self.fail(f"should be {what}, found {value!r}", param, ctx)
        return numbers


class Shrinkage(click.ParamType["str | tuple[float, ...]"]):
    """auto, or numbers above 0 up to 1."""

    name = "auto|NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | tuple[float, ...]:
        """To "auto" or a tuple of floats."""
        if value == "auto":
            return "auto"
        what = "auto, or numbers above 0 up to 1, such as 0.01,0.1"
        numbers = Numbers(what, positive=True).convert(value, param, ctx)
        if max(numbers) > 1:
            self.fail(f"should be {what}, found {value!r}", param, ctx)
        return numbers


class Bytes(click.ParamType[int]):
    """A size: 500M, 2G, 1.5G, or a number of bytes. 1K is 1,024."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """To a number of bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
        size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")) if match else 0
        if not size:
            self.fail(f"should be a size such as 500M or 2G, found {value!r}", param, ctx)
        return size


class Size(click.ParamType[tuple[int, int]]):
    """A side (224) or HEIGHTxWIDTH (240x320)."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """To (height, width)."""
        if isinstance(value, list | tuple) and len(value) == 2:
            value = f"{value[0]}x{value[1]}"
        match = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", str(value))
        if not match:
            self.fail(f"should be a side (224) or HEIGHTxWIDTH (240x320), found {value!r}", param, ctx)
        return int(match[1]), int(match[2] or match[1])


class Shard(click.ParamType[tuple[int, int]]):
    """I/N: part I of N, counted from 1."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """To (I, N)."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)/(\d+)", str(value))
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            self.fail(f"should be I/N with 1 <= I <= N, such as 3/8; found {value!r}", param, ctx)
        return int(match[1]), int(match[2])


class EmbeddingName(click.ParamType[str]):
    """One of the embeddings that there are, or the pieces of one."""

    name = "embedding"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All of them."""
        from fne_cli.steps.embeddings import names

        return f"[{'|'.join(names())}|PIECE,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """To its name, or its pieces in the one way in which they are written."""
        from fne_cli.errors import BadInput
        from fne_cli.steps.embeddings import spelled

        if not isinstance(value, str):
            self.fail(f"should be text, found {value!r}", param, ctx)
        try:
            return spelled(value)
        except BadInput as error:
            self.fail(str(error), param, ctx)


class ClassifierName(click.ParamType[str]):
    """One of the classifiers that there are."""

    name = "classifier"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """All of them."""
        from fne_cli.steps.classifiers import CLASSIFIERS

        return f"[{'|'.join('knn:K' if name == 'knn' else name for name in CLASSIFIERS)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """To its name, with the number of neighbours."""
        from fne_cli.errors import WrongOptions
        from fne_cli.steps.classifiers import spelled

        if not isinstance(value, str):
            self.fail(f"should be text, found {value!r}", param, ctx)
        try:
            return spelled(value)
        except WrongOptions as error:
            self.fail(error.problem.removeprefix("--classifier "), param, ctx)


class Preprocess(click.ParamType[str]):
    """How images are prepared for a network: by name, or as numbers."""

    name = "preprocessing"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The names, and how numbers begin."""
        from fne_cli.steps.preprocessing import NAMED

        return f"[{'|'.join(NAMED)}|mean=...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """To the one way in which it is written."""
        from fne_cli.errors import BadInput
        from fne_cli.steps.preprocessing import spelled

        if not isinstance(value, str):
            self.fail(f"should be text, found {value!r}", param, ctx)
        try:
            return spelled(value)
        except BadInput as error:
            self.fail(error.problem.removeprefix("--preprocess").lstrip(": "), param, ctx)


class Thresholds(click.ParamType["tuple[float, float] | Path"]):
    """LOW,HIGH, or the file that has them."""

    name = "LOW,HIGH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float] | Path:
        """To two floats or a path: what has a letter in it other than those of numbers is one."""
        if isinstance(value, Path) or (isinstance(value, str) and not _NUMBERS.fullmatch(value)):
            return Path(value)
        low, high = Numbers(self.name, 2).convert(value, param, ctx)
        if low > high:
            self.fail(f"LOW should not be larger than HIGH, found {low:g},{high:g}", param, ctx)
        return low, high


_NUMBERS = re.compile(r"(?:[-+0-9.,e\s]|inf|nan)*", re.IGNORECASE)


_SPEAKING = frozenset([
    ".csv", ".tsv", ".json", ".jsonl", ".h5", ".hdf5", ".npy", ".npz", ".svm", ".parquet", ".html", ".tex", ".png",
    ".jpg", ".jpeg", ".svg", ".pdf", ".tar", ".zip", ".txt", ".md", ".keras", ".toml", ".faiss", ".usearch", ".copy",
    ".projector",
])  # fmt: skip
"""Endings that say what is in a file."""


class Written(click.Path):
    """A file to be written: its name may end in anything but what speaks of another kind of file.

    Of a file that is there the step says why it stays as it is.
    """

    def __init__(self, what: str, *endings: str) -> None:
        super().__init__(path_type=Path)
        self.what, self.endings = what, endings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """To a path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        ending = path.suffix.lower()
        if ending in _SPEAKING and ending not in self.endings and not os.path.lexists(path):
            self.fail(
                f"{path} should have a name that ends in {self.endings[0]}, as it will be {self.what}.", param, ctx
            )
        return path


class Share(click.ParamType[float]):
    """20% or 0.2."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """To a fraction."""
        match = re.fullmatch(r"(\d*\.?\d+)(%?)", str(value))
        share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
        if not 0 < share < 1:
            self.fail(f"should be a share such as 20% or 0.2, found {value!r}", param, ctx)
        return share
