"""An activations file that grows in OUTPUT.partial, survives SIGKILL, and is finished by whoever runs the command next.

Two files: the HDF5 file, whose metadata is final from the start (see chunks.py), and the journal OUTPUT.partial.json,
replaced atomically after each commit, which says how many images are safe. Rows behind that number do not count.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from fne_cli.errors import DamagedFile, DifferentOutput, FneError, WrongFile
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.schema import Images, Layer, differences, fingerprint, image_differences
from fne_cli.store.format.writer import NOT_FINISHED, Writer
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import time_run

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

        Raises DifferentOutput if an interrupted run had other settings or images, DamagedFile if it left something that
        cannot be used (with `overwrite` it is discarded), OSError if the disk is too small.
        """
        crops = int(settings["crops"])
        if output.resumable:
            try:
                journal = output.read_journal()
                if overwrite and journal["inputs"] != inputs:
                    raise DifferentOutput("The images are not the ones that the overwriting began with.")
                with unfinished(output) as found:
                    lines = differences(settings, found.settings) + image_differences(images, found.listing())
                    check_same(output.partial, lines)
            except FneError:
                if not overwrite:
                    raise
            else:
                if journal.pop("complete", None) is not None:  # HDF5 marks a file as soon as it opens it for writing
                    output.note(journal)
                writer = Writer.reopen(output.into)
                writer.seek(journal["committed"], journal["committed"] * crops)
                return cls(output, writer, journal, crops)
        output.clear()
        journal = {"images": len(images), "committed": 0, "inputs": inputs, "runs": []}
        writer = Writer.create(
            output.into,
            "activations",
            layers,
            len(images) * crops,
            settings=settings,
            sources=[],
            software=software,
            images=images,
        )
        try:
            writer.seek(0, 0)
            writer.commit()
            output.note(journal)
        except BaseException:
            writer.abandon()
            raise
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
        self._output.note(self._journal)

    def add(
        self, rows: Mapping[str, np.ndarray], status: np.ndarray, message: Sequence[str], sha256: Sequence[str]
    ) -> None:
        """Append the rows of the next images; commits when the last commit is some seconds ago."""
        for name, values in rows.items():
            self._writer.append(name, values)
        self._writer.append_images(status, message, sha256)
        self._added += len(status)
        if time.monotonic() - self._last_commit > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Make all added images safe."""
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
        self._writer.set_fingerprint(NOT_FINISHED)
        self._writer.commit()

    def replace(
        self,
        numbers: np.ndarray,
        rows: Mapping[str, np.ndarray],
        status: np.ndarray,
        message: Sequence[str],
        sha256: Sequence[str],
    ) -> None:
        """Write the rows of images again. A process killed here leaves them marked, and the next one repeats them."""
        places = (numbers[:, None] * self._crops + np.arange(self._crops)).ravel()
        for name, values in rows.items():
            self._writer.replace(name, places, values)
        self._writer.replace_images(numbers, status, message, sha256)

    def finish(self, inputs: Mapping[str, Any]) -> None:
        """Give the complete file its fingerprint and close it; it then waits to be accepted."""
        self.commit()
        self._writer.close()
        with open_file(self._output.partial, "activations", unfinished=True) as reader:
            digest = fingerprint("activations", reader.settings, reader.sources, reader.images)
        with Writer.reopen(self._output.into) as writer:
            writer.set_fingerprint(digest)
        self._output.sync()
        self._journal |= {"complete": inputs, "retry": []}
        self._output.note(self._journal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.abandon()  # what was not committed is for the next run; after `finish` nothing is left to close


def check_same(path: Path, lines: Sequence[str]) -> None:
    """Raises DifferentOutput if there are lines: each says in what this run differs from what stands at `path`."""
    if lines:
        what = "is the unfinished work of a run" if path.suffix == ".partial" else "exists and was made"
        raise DifferentOutput(
            f"{path} {what} with other inputs or settings:\n  "
            + "\n  ".join(lines)
            + "\nGive the same ones or another output, or --overwrite to replace it."
        )


@contextmanager
def unfinished(output: Output) -> Iterator[Reader]:
    """The activations in OUTPUT.partial. Raises DamagedFile if that is something else."""
    try:
        with open_file(output.partial, unfinished=True) as found:
            if found.kind != "activations":
                raise WrongFile(f"{output.partial} should hold activations. Found: {found.kind}.")
            yield found
    except (DamagedFile, WrongFile) as error:
        raise DamagedFile(f"{error}\nUnfinished work that cannot be resumed: --overwrite begins again.") from error
