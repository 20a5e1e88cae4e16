"""What `fne retrieve` is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import WrongOptions
from fne_cli.numerics.neighbours.distances import Metric

AT = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalOptions:
    """Which images are looked for among which, and what counts, as `fne retrieve` describes the options.

    queries, among: splits, or all. relevant: label, or a column of `manifest`; truth: a ground truth instead. by: a
    column by whose values the queries are measured, too. at: ranks of precision and recall. expand, augment: how many
    neighbours join a query, or every vector. power: of the similarity, as they weigh. regions: whether those of a
    picture are compared as one. rerank: how many of the nearest by the first region are.
    """

    queries: str = "all"
    among: str = "all"
    metric: Metric | None = None
    relevant: str = "label"
    manifest: Path | None = None
    truth: Path | None = None
    by: str | None = None
    at: tuple[int, ...] = AT
    expand: int = 0
    augment: int = 0
    power: float = 0.0
    regions: bool = False
    rerank: int = 0

    def check(self) -> None:
        """Raises WrongOptions for those that do not go together."""
        if self.truth is not None and self.relevant != "label":
            raise WrongOptions("--truth says what is relevant. Leave --relevant out, or --truth.")
        if self.manifest is None and (self.by is not None or self.relevant != "label"):
            name = "--by" if self.by is not None else "--relevant"
            raise WrongOptions(f"{name} names a column of --manifest. Give the manifest, too.")
        if self.manifest is not None and self.by is None and self.relevant == "label":
            raise WrongOptions("--manifest has the columns of --relevant and --by. Give one of them, or leave it out.")
        if self.power and not (self.expand or self.augment):
            raise WrongOptions("--power weighs the neighbours of --expand and --augment. Give one of them.")
        if self.rerank and not self.regions:
            raise WrongOptions("--rerank compares the regions of the nearest images. Give --regions, too.")
        if self.regions and (self.expand or self.augment):
            raise WrongOptions("--expand and --augment are for images of one vector. Leave them out, or --regions.")

    def described(self) -> dict[str, Any]:
        """What tells results apart, of options that are given."""
        told: dict[str, Any] = {"queries": self.queries, "among": self.among, "at": sorted(set(self.at))}
        told["relevant"] = "truth" if self.truth is not None else self.relevant
        more = {name: getattr(self, name) for name in ("by", "expand", "augment", "power", "regions", "rerank")}
        return told | {name: value for name, value in more.items() if value}
