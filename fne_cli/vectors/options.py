"""Which vectors a command is told to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import embedding, spelled
from fne_cli.store.many.pooled import AVERAGE

KINDS = ("activations", "codes", "standardized")
_DEFAULTS = {"activations": "l2", "standardized": "raw"}


@dataclass(frozen=True)
class VectorOptions:
    """What becomes of the rows of files, as `fne search` and `fne retrieve` describe the options of these names.

    rows: the images that an embedding is fitted to; by default those of the split train, or all if there are no splits.
    """

    layers: Sequence[str] = ()
    embedding: str | None = None
    projection: Path | None = None
    thresholds: tuple[float, float] | Path = (LOW, HIGH)
    pool: str | None = None
    rows: str | None = None

    def named(self, kind: str, name: str) -> str:
        """What vectors of files of a kind are called: codes, or the embedding as it is written.

        name: of the files. Raises WrongOptions or BadInput for what does not go with it.
        """
        if kind == "codes" and self.embedding is not None:
            raise BadInput(
                f"{name} should be an activations file for --embedding {self.embedding}. Found: codes, which are one.\n"
                "Leave --embedding out, or give the activations."
            )
        if self.projection is not None:
            self._check_projection(kind, name)
            return "projection"
        if self.pool is not None and (self.pool != AVERAGE or kind != "activations"):
            raise WrongOptions(f"--pool {self.pool} should be avg, of activations. Extract them with another --pool.")
        called = "codes" if kind == "codes" else spelled(self.embedding or _DEFAULTS[kind])
        fitted = called != "codes" and bool(embedding(called).arrays)
        if self.thresholds != (LOW, HIGH) and (called == "codes" or not embedding(called).takes_thresholds):
            raise WrongOptions("--thresholds goes with --embedding fne. Codes have theirs; other embeddings need none.")
        if self.rows is not None and not fitted:
            raise WrongOptions(
                f"--rows says which images an embedding is fitted to. Found: {called}, which is not fitted to any. "
                "Leave --rows out."
            )
        return called

    def _check_projection(self, kind: str, name: str) -> None:
        if kind != "activations":
            raise BadInput(
                f"{name} should be an activations file for --projection {self.projection}. Found: {kind}.\n"
                "Give the activations, or leave --projection out."
            )
        if self != VectorOptions(projection=self.projection):
            raise WrongOptions(
                "--projection says layers, embedding and pooling. Leave it out, or --layers, --embedding, "
                "--thresholds, --pool and --rows."
            )
