"""How an extraction is run: all that it is told beside its images and the recipe, and that changes no number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fne_cli.images.pixels.geometry import MAX_PIXELS

OPEN = "auto"  # the precision that is to be measured first


@dataclass(frozen=True)
class RunOptions:
    """The options of `fne extract` of these names; docs/cli.md describes them.

    workers: threads that decode images, of each worker if there is a cluster. decode_memory: bytes that these threads
    share, half of what is free if it is None. shard_rows: with a cluster, rows of a shard. reuse: activations whose
    rows are taken where they are of the same images.
    """

    workers: int | None = None
    decode_memory: int | None = None
    max_pixels: int = MAX_PIXELS
    max_bad: str = "0"
    retry_bad: bool = False
    dry_run: bool = False
    recheck: bool = False
    overwrite: bool = False
    reuse: Sequence[Path] = ()
    shard_rows: int | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "reuse": [str(path) for path in self.reuse]}

    @classmethod
    def of_plain(cls, values: Mapping[str, Any]) -> RunOptions:
        """The same again."""
        return cls(**{**values, "reuse": tuple(map(Path, values["reuse"]))})
