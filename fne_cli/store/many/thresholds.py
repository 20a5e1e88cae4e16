"""Thresholds of ternary codes, and reading them from the behavior file that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import WrongFile
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import BOTH, differences, without_shard


@dataclass(frozen=True)
class Thresholds:
    """Low and high; the file they come from as `sources` name it, and the rows that it was made from, if any."""

    low: float
    high: float
    sources: tuple[dict[str, str], ...] = ()
    rows: str | None = None


def read_thresholds(given: Path, activations: Mapping[str, Any], path: Path) -> Thresholds:
    """The thresholds that a behavior file has for activations made with these settings, those of `path`.

    Raises WrongFile if the behavior file is of other activations, BadInput if it has no thresholds.
    """
    with open_file(given, "behavior") as file:
        apart = differences(without_shard(dict(activations)), without_shard(file.settings["activations"]), BOTH)
        if apart:
            raise WrongFile(
                f"{given} (there) should have the behavior of activations made like {path} (here). Found:\n  "
                + "\n  ".join(apart)
                + f"\nRun fne analyze {path} first."
            )
        source = {"kind": file.kind, "fingerprint": file.fingerprint}
        return Thresholds(*file.behavior().thresholds(), (source,), file.settings["rows"])
