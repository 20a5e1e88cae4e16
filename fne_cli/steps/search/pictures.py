"""The pictures of images on a page: small JPEG files, or why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fne_cli.errors import BadInput
from fne_cli.figures.gallery import Shot
from fne_cli.images.same import pixel_digests
from fne_cli.images.thumbnails import Places, encoded, find, thumbnails
from fne_cli.steps.search.asked import list_asked
from fne_cli.steps.search.sides import Listed

SIDE = 128  # pixels


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of FEATURES are, and those of QUERIES; how they are cut to a square."""

    images: str | None
    root: str | None
    resize: Literal["squash", "crop"]

    @classmethod
    def of(cls, images: str | None, root: str | None, settings: dict[str, Any]) -> Pictures:
        """By what --images says, cut as the network saw them."""
        made = settings.get("activations", settings)
        return cls(images, root, "crop" if made.get("resize") == "crop" else "squash")

    def shots(self, images: Listed, numbers: Sequence[int], asked: Sequence[str] = ()) -> list[Shot]:
        """Some of the images, each once. asked: QUERIES that name image files, if these are those.

        Raises BadInput if --images has none of them.
        """
        paths = [images.path[number] for number in numbers]
        where = (
            _asked(asked, paths, self.root)
            if asked
            else None
            if self.images is None
            else find(self.images, paths, self.root)
        )
        digests = [images.sha256[number] for number in numbers]
        if where is None:
            shown: list[tuple[bytes | None, str]] = [(None, "not shown")] * len(paths)
        else:
            made = thumbnails(where, SIDE, self.resize, digests)
            shown = [(None if pixels is None else encoded(pixels), why) for pixels, why in made]
            if paths and not asked and all(picture is None for picture, _ in shown):
                raise BadInput(
                    f"--images {self.images} should have the images of the file. Found: {paths[0]} {shown[0][1]}."
                )
        return [
            Shot(path, images.label[number], images.split[number], picture, why)
            for path, number, (picture, why) in zip(paths, numbers, shown, strict=True)
        ]

    def pixels(
        self, images: Listed, numbers: Sequence[int], threads: int, advance: Callable[[int], object]
    ) -> list[str]:
        """Of some of the images a digest of their pixels, "" where there is none. Raises BadInput if that is all."""
        assert self.images is not None
        where = find(self.images, [images.path[number] for number in numbers], self.root)
        found = pixel_digests(where, [images.sha256[number] for number in numbers], threads, advance)
        if numbers and not any(found):
            raise BadInput(
                f"--images {self.images} should have the images of the file. Found: none of {len(numbers):,}, such as "
                f"{images.path[numbers[0]]}, as it was."
            )
        return found


def _asked(asked: Sequence[str], paths: Sequence[str], root: str | None) -> Places:
    """Where images are that QUERIES name."""
    listing = list_asked(asked, root)
    index = {name: number for number, name in enumerate(listing.ids)}
    places = [index[path] for path in paths]
    return Places(
        [listing.files[place] for place in places],
        [None if listing.spans is None else tuple(listing.spans[place].tolist()) for place in places],
        [None if listing.boxes is None else listing.boxes[place] for place in places],
    )
