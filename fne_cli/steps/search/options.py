"""What a search is told, apart from the vectors that it compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import WrongOptions
from fne_cli.numerics.neighbours.distances import Metric, check_metric, default_metric
from fne_cli.numerics.neighbours.search import Wanted

NEIGHBOURS = 10


@dataclass(frozen=True)
class SearchOptions:
    """The options of `fne search` of these names; docs/cli.md describes them.

    queries, among: splits, or all. model, weights, moments: of images that go through the network. images, root: where
    the pictures are. shown: queries, or pairs, on a page. memory: bytes, half of what is free if it is None.
    """

    metric: Metric | None = None
    neighbours: int | None = None
    within: float | None = None
    queries: str = "all"
    among: str = "all"
    model: str | None = None
    weights: str | None = None
    moments: Path | None = None
    images: str | None = None
    root: str | None = None
    shown: int = 100
    memory: int | None = None

    def wanted(self, ternary: bool, crops: int, page: bool) -> Wanted:
        """What to find among vectors that are codes, or not; on a page of all within a distance only the nearest.

        Raises WrongOptions.
        """
        if self.within is not None and not self.within >= 0:
            raise WrongOptions(f"--within should be a distance, 0 or more. Found: {self.within}.")
        metric = self.metric or default_metric(ternary)
        check_metric(metric, ternary)
        some = self.within is None or page
        count = self.neighbours if self.neighbours is not None or not some else NEIGHBOURS
        return Wanted(metric, count, float("inf") if self.within is None else self.within, crops)

    def check(self, asked: bool, images: bool, page: bool) -> None:
        """Raises WrongOptions for what does not go together. asked: whether QUERIES are given, and are images."""
        if asked and self.queries != "all":
            raise WrongOptions("--queries names a split of FEATURES. Found: QUERIES, too. Leave one of them out.")
        for name in ("model", "weights", "moments"):
            if getattr(self, name) is not None and not images:
                raise WrongOptions(f"--{name} is for QUERIES that are images. Found: none.")
        if self.root is not None and self.images is None and not images:
            raise WrongOptions("--root says where the paths of a manifest start. Give --images, or QUERIES, with it.")
        if self.images is not None and not page:
            raise WrongOptions("--images is for the pictures of a page. Name an OUTPUT that ends in .html.")
