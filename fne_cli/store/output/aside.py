"""OUTPUT.known: unfinished work of images that have changed since. It is not gone on with, but its rows are known.

Beside it OUTPUT.known.json says how many of its images count. Both go when the output is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fne_cli.store.format.chunks import read_rows
from fne_cli.store.format.claims import doubted
from fne_cli.store.format.schema import Images, differences, image_differences
from fne_cli.store.format.text import parse_json
from fne_cli.store.format.writer import Writer
from fne_cli.store.output.notes import write_json
from fne_cli.store.output.own import scratch_of, sweep
from fne_cli.store.output.partial import Output
from fne_cli.store.output.resume import check_same, unfinished


@dataclass(frozen=True)
class Aside:
    """The file, how many of its first images count, and which of these do not."""

    path: Path
    count: int
    skip: list[int]


def place_of(output: Path) -> Path:
    """OUTPUT.known."""
    return output.with_name(output.name + ".known")


def _note_of(output: Path) -> Path:
    return output.with_name(output.name + ".known.json")


def find(output: Path) -> Aside | None:
    """What was set aside for an output, if anything was."""
    try:
        state = parse_json(_note_of(output).read_bytes())
        count, skip = state["count"], state["skip"]
        whole = type(count) is int and count >= 0 and all(type(number) is int and number >= 0 for number in skip)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return Aside(place_of(output), count, skip) if whole and place_of(output).exists() else None


def forget(output: Path) -> None:
    """Remove it; the note first, without which the file counts for nothing."""
    _note_of(output).unlink(missing_ok=True)
    place_of(output).unlink(missing_ok=True)
    sweep(scratch_of(_note_of(output)))


class Unfinished:
    """The work of an interrupted run in OUTPUT.partial, whose lock is held. Raises DamagedFile for what is none."""

    def __init__(self, output: Output) -> None:
        self.output, self.journal = output, output.read_journal()

    def is_of(self, settings: dict[str, Any], images: Images, comparable: Callable[[Any], Any]) -> bool:
        """Whether it is of these images. Raises DifferentOutput if it has other settings.

        comparable: takes out of settings what depends on the images.
        """
        with unfinished(self.output) as file:
            check_same(self.output.partial, differences(comparable(settings), comparable(file.settings)))
            return settings == file.settings and not image_differences(images, file.listing())

    def contents(self) -> list[str]:
        """The SHA-256 of each image that is safe."""
        return [value.decode() for value in self._column("sha256").tolist()]

    def bad(self) -> set[int]:
        """Which of them have no features."""
        return set(np.flatnonzero(self._column("status")).tolist())

    def _column(self, name: str) -> np.ndarray:
        """What the image table says of them, whatever the checksums of chunks that are not full yet."""
        partial, count = self.output.partial, self.journal["committed"]
        with unfinished(self.output), doubted(partial), h5py.File(partial, "r", locking=False) as file:
            return read_rows(file[f"images/{name}"], count)

    def set_aside(self) -> bool:
        """Make it OUTPUT.known, unless another one there has more images: then that stays, and this one goes: False."""
        count = int(self.journal["committed"])
        other = find(self.output.path)
        if other is not None and other.count > count:
            self.output.clear()
            return False
        if count == 0:
            self.output.clear()
            return True
        skip = sorted({*map(int, self.journal.get("retry", []))})
        with unfinished(self.output) as file:
            crops = int(file.settings["crops"])
        writer = Writer.reopen(self.output.into)
        try:
            # What a kill has left half written, in the last chunks and in those of images that were read again, gets
            # right checksums: these images are left out, their neighbours are good.
            writer.seek(count, count * crops)
            writer.blank_images(np.array([number for number in skip if number < count], np.int64), crops)
            writer.commit()
        finally:
            writer.abandon()
        forget(self.output.path)  # or a note that a kill leaves alone would speak of the older file
        write_json(_note_of(self.output.path), {"count": count, "skip": skip})
        self.output.set_aside(place_of(self.output.path))
        return True
