"""What else is known of images than their file says: what is predicted of them, and where their pictures are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.images.thumbnails import find, sheet
from fne_cli.progress import Progress
from fne_cli.store.format.reader import Reader
from fne_cli.store.other.predictions import read_said
from fne_cli.store.output.record import sha256_of

ENDINGS = (".parquet", ".projector")
"""Of outputs that have room for it."""


@dataclass(frozen=True)
class Told:
    """said: what is predicted of images, by their paths, None without predictions. images, root: as options have them.

    predictions: the file. digests: SHA-256 of each image's bytes, by its path, if pictures are wanted.
    """

    said: Mapping[str, str] | None = None
    predictions: Path | None = None
    images: str | None = None
    root: str | None = None
    digests: Mapping[str, str] | None = None
    resize: Literal["squash", "crop"] = "squash"

    @classmethod
    def of(cls, source: Reader, kind: str, predictions: Path | None, images: str | None, root: str | None) -> Self:
        """Raises WrongOptions where an output has no room for what is asked, BadInput for files that do not fit."""
        for name, given in (("predictions", predictions), ("images", images)):
            if given is not None and kind not in ENDINGS:
                too = "Give --cells, too, or leave it out." if name == "images" else "Leave it out."
                raise WrongOptions(
                    f"--{name} is for an OUTPUT that ends in {' or '.join(ENDINGS)}. Found: {kind}. {too}"
                )
        if root is not None and images is None:
            raise WrongOptions("--root goes with --images, which says where pictures are. Give that, too.")
        said = None if predictions is None else read_said(predictions)
        known = source.images
        if said is not None and not any(path in said for path in known.path):
            raise BadInput(
                f"--predictions {predictions} should be of the images of {source.path}. Found: {len(said):,} paths, "
                f"none of them there, where the first is {known.path[0] if len(known) else 'none'}."
            )
        digests = None if images is None else dict(zip(known.path, known.sha256, strict=True))
        made = source.settings.get("activations", source.settings)
        return cls(said, predictions, images, root, digests, "crop" if made.get("resize") == "crop" else "squash")

    @property
    def settings(self) -> dict[str, Any]:
        """What tells an output with it from one without."""
        if self.images is None:
            return {}
        return {"images": os.path.abspath(self.images)} | ({} if self.root is None else {"root": self.root})

    @property
    def sources(self) -> list[dict[str, str]]:
        """What an output is made from beside the file."""
        if self.predictions is None:
            return []
        return [{"kind": "predictions", "fingerprint": sha256_of(self.predictions)}]

    @property
    def paths(self) -> dict[str, tuple[Path, ...]]:
        """The same as files, by what they are for."""
        return {} if self.predictions is None else {"predictions": (self.predictions,)}

    @property
    def columns(self) -> dict[str, Callable[[Sequence[str]], list[str | None]]]:
        """Columns of a table: `prediction`, and `file`, an absolute path."""
        found: dict[str, Callable[[Sequence[str]], list[str | None]]] = {}
        if self.said is not None:
            said = self.said
            found["prediction"] = lambda paths: [said.get(path) or None for path in paths]
        if self.images is not None:
            found["file"] = self.files
        return found

    def files(self, paths: Sequence[str]) -> list[str | None]:
        """Where images are, absolute; None for one that is missing. Raises BadInput if they are in an archive."""
        assert self.images is not None
        found = find(self.images, paths, self.root)
        if any(span is not None for span in found.spans):
            raise BadInput(f"--images {self.images} should be a folder or a manifest. Found: an archive. Unpack it.")
        return [None if file is None else os.path.abspath(file) for file in found.files]

    def write_sheet(self, path: Path, paths: Sequence[str], side: int, progress: Progress) -> None:
        """All pictures on one, rows from the left, as PNG. Raises BadInput if none is there."""
        assert self.images is not None and self.digests is not None
        with progress.track(len(paths), "pictures") as advance:
            digests = [self.digests[name] for name in paths]
            why = sheet(path, find(self.images, paths, self.root), side, self.resize, digests, advance)
        if why:
            raise BadInput(f"--images {self.images} should have the images of the file. Found: {paths[0]} {why}.")
