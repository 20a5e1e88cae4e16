"""An activations file that grows in OUTPUT.partial, survives SIGKILL, and is finished by whoever runs the command next.

Two files: the HDF5 file, whose metadata is final from the start (see chunks.py), and the journal OUTPUT.partial.json,
replaced atomically after each commit, which says how many images are safe. Rows behind that number do not count.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import DifferentOutput, DoesNotFit, FneError
from fne_cli.store.output import Output
from fne_cli.store.reader import open_file
from fne_cli.store.record import time_run
from fne_cli.store.schema import DIGEST_LENGTH, Images, Layer, differences, fingerprint, image_differences
from fne_cli.store.writer import Writer

COMMIT_SECONDS = 5.0


class Growing:
    """The activations under way, as a context manager. `committed` images are safe."""

    def __init__(self, output: Output, writer: Writer, journal: dict[str, Any], crops: int) -> None:
        self._output = output
        self._writer = writer
        self._journal = journal
        self._crops = crops
        self._added: int = journal["committed"]
        self._last_commit = time.monotonic()
        self._began: float | None = None

    @classmethod
    def start(
        cls,
        output: Output,
        layers: Sequence[Layer],
        images: Images,
        settings: Mapping[str, Any],
        inputs: Mapping[str, Any],
        software: Mapping[str, str],
        overwrite: bool = False,
    ) -> Self:
        """Go on with what is there, or begin anew. `inputs` is kept for the next run to look at.

        Raises DifferentOutput if an interrupted run had other settings or images (with `overwrite` it is discarded),
        DoesNotFit if the disk is too small.
        """
        crops = int(settings["crops"])
        if output.resumable:
            try:
                with open_file(output.partial, "activations", unfinished=True) as found:
                    check_same(output.partial, settings, found.settings, images, found.images)
            except FneError:
                if not overwrite:
                    raise
            else:
                journal = output.read_journal()
                writer = Writer.reopen(output.partial)
                writer.seek(journal["committed"], journal["committed"] * crops)
                return cls(output, writer, journal, crops)
        output.clear()
        journal = {"images": len(images), "committed": 0, "inputs": inputs, "runs": []}
        with disk(output):
            writer = Writer.create(
                output.partial,
                "activations",
                layers,
                len(images) * crops,
                settings=settings,
                sources=[],
                software=software,
                images=images,
            )
            writer.reserve()
            writer.seek(0, 0)
            writer.commit()
            output.note(journal)
        return cls(output, writer, journal, crops)

    @property
    def committed(self) -> int:
        """Number of images, from the first on, that are on the disk."""
        return int(self._journal["committed"])

    @property
    def retry(self) -> list[int]:
        """Numbers of the images that are being computed again."""
        return list(self._journal.get("retry", []))

    @property
    def inputs(self) -> dict[str, Any]:
        """What the run that began the file was given."""
        inputs: dict[str, Any] = self._journal["inputs"]
        return inputs

    def sha256(self) -> list[str]:
        """The SHA-256 of each committed image's bytes."""
        return self._writer.strings("images/sha256", self.committed)

    def bad_images(self) -> list[int]:
        """Numbers of the committed images that have no features."""
        return self._writer.nonzero("images/status", self.committed)

    def begin_run(self, run: dict[str, Any]) -> None:
        """Have the journal tell of this process too; its time is brought up to date with every commit."""
        self._journal["runs"].append(run)
        self._began = time.monotonic()

    def add(
        self, rows: Mapping[str, np.ndarray], status: np.ndarray, message: Sequence[str], sha256: Sequence[str]
    ) -> None:
        """Append the rows of the next images; commits when the last commit is some seconds ago."""
        with disk(self._output):
            for name, values in rows.items():
                self._writer.append(name, values)
            self._writer.append_images(status, message, sha256)
        self._added += len(status)
        if time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make all added images safe."""
        with disk(self._output):
            self._writer.commit()
            self._journal["committed"] = self._added
            if self._began is not None:
                time_run(self._journal["runs"][-1], time.monotonic() - self._began)
            self._output.note(self._journal)
        self._last_commit = time.monotonic()

    def mark_retry(self, numbers: Sequence[int]) -> None:
        """Note which images of the complete file are to be computed again, before the first of them is touched."""
        self._journal["retry"] = [int(number) for number in numbers]
        self._journal.pop("complete", None)
        self._output.note(self._journal)

    def replace(
        self,
        numbers: np.ndarray,
        rows: Mapping[str, np.ndarray],
        status: np.ndarray,
        message: Sequence[str],
        sha256: Sequence[str],
    ) -> None:
        """Write the rows of images again. A process killed here leaves them marked, and the next one repeats them."""
        with disk(self._output):
            for place, image in enumerate(numbers.tolist()):
                part = slice(place * self._crops, (place + 1) * self._crops)
                for name, values in rows.items():
                    self._writer.replace(f"layers/{name}", image * self._crops, values[part])
                one = slice(place, place + 1)
                self._writer.replace_image(image, status[one], message[one], sha256[one])

    def finish(self, inputs: Mapping[str, Any]) -> None:
        """Give the complete file its fingerprint and close it; it then waits to be accepted."""
        self.commit()
        self._writer.close()
        with disk(self._output):
            seal(self._output)
            self._journal |= {"complete": inputs, "retry": []}
            self._output.note(self._journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.abandon()  # what was not committed is for the next run; after `finish` nothing is left to close


class disk:  # noqa: N801  # reads as a block: with disk(output)
    """Turns "no space left" into an error with numbers; what was committed stays."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        full = isinstance(error, DoesNotFit) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if not full and isinstance(error, OSError):
            full = any(text in str(error) for text in ("No space left", "errno = 28", "Disk quota"))
        if not full:
            return
        partial = self._output.partial
        status = os.stat(partial)
        free = shutil.disk_usage(partial.parent).free
        wanted = max(0, status.st_size - status.st_blocks * 512)
        raise DoesNotFit(
            f"The disk of {partial.parent} is full. {self._output.path.name} becomes {status.st_size:,} bytes; "
            f"{wanted:,} of them are still to be written; {free:,} are free.\n"
            "Make room and run the same command again: it goes on from the last committed image."
        ) from error


def check_same(
    path: Path, settings: Mapping[str, Any], old_settings: Mapping[str, Any], images: Images, old_images: Images
) -> None:
    """Raises DifferentOutput, naming what differs between this run and what stands at `path`."""
    lines = differences(settings, old_settings) + image_differences(images, old_images)
    if lines:
        what = "is the unfinished work of a run" if path.suffix == ".partial" else "was made"
        raise DifferentOutput(
            f"{path} {what} with other inputs or settings:\n  "
            + "\n  ".join(lines)
            + "\nGive the same ones or another output, or --overwrite to replace it."
        )


def seal(output: Output) -> None:
    """Compute the fingerprint of the complete OUTPUT.partial and write it in."""
    with open_file(output.partial, "activations", unfinished=True) as reader:
        digest = fingerprint("activations", reader.settings, reader.sources, reader.images)
    with h5py.File(output.partial, "r+", locking=False) as file:
        file.attrs.modify("fingerprint", np.array(digest.encode(), f"S{DIGEST_LENGTH}"))
