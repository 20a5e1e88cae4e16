"""Which image a name means that somebody has written somewhere: in a list, in annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fne_cli.images.lists.paths import in_one_form


class Names:
    """What a name can mean: an id and each end of it that begins at a folder, with and without its ending."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._places: dict[str, list[int]] = {}
        for number, name in enumerate(ids):
            parts = in_one_form(name).split("/")
            for start in range(len(parts)):
                end = "/".join(parts[start:])
                for key in {end, os.path.splitext(end)[0]}:
                    self._places.setdefault(key, []).append(number)

    def fitting(self, name: str) -> list[int]:
        """The numbers of the ids that a name fits, which may have more folders at its front than they."""
        parts = in_one_form(name).split("/")
        for start in range(len(parts)):
            found = self._places.get("/".join(parts[start:]))
            if found:
                return found
        return []
