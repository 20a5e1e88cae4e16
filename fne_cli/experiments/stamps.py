"""What make knows of a file: it is up to date if nothing that it was made from or by has changed since.

The steps know it exactly, from fingerprints, but have to open the files for it. A stamp that fits saves asking them;
one that does not costs nothing but the question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fne_cli.errors import FneError
from fne_cli.experiments.jobs import Job
from fne_cli.experiments.written.config import Options
from fne_cli.images import contents
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.manifest import LABEL
from fne_cli.images.lists.source import list_images
from fne_cli.store.format.text import parse_json
from fne_cli.store.output.notes import write_json
from fne_cli.store.output.record import file_state, plain
from fne_cli.store.output.sealed import DIGEST, is_intact, without_digest

_LONGEST = 1e9  # seconds that a job may have taken


class Sources:
    """Images as they are now, looked at once."""

    def __init__(self) -> None:
        self.listing = cache(self._listing)
        self.digest = cache(self._digest)

    def problem(self, job: Job) -> str:
        """Why there is no listing of its images."""
        try:
            list_images(str(job.images), job.root, job.label_column)
        except (FneError, OSError) as error:
            return str(error)
        return ""

    def forget(self) -> None:
        """Look again: a job has written images or a manifest."""
        self.listing.cache_clear()
        self.digest.cache_clear()

    def _listing(self, images: str, root: str | None, label_column: str = LABEL) -> Listing | None:
        """The listing, None if there is none such (yet)."""
        try:
            return list_images(images, root, label_column)
        except (FneError, OSError):
            return None

    def _digest(self, images: str, root: str | None, label_column: str = LABEL) -> str | None:
        listing = self.listing(images, root, label_column)
        if listing is None:
            return None
        return f"{contents.listing_digest(listing)} {contents.state_digest(listing)}"


class Stamps:
    """The stamps of an experiment's files, kept in a file of its folder."""

    def __init__(self, path: Path, options: Options, sources: Sources) -> None:
        self._path, self._options, self._sources = path, options, sources
        try:
            found = parse_json(path.read_bytes())
        except (OSError, ValueError):
            found = {}
        sound = isinstance(found, dict) and (DIGEST not in found or is_intact(found))
        self._stamps: dict[str, Any] = without_digest(found) if sound else {}

    def fresh(self, job: Job) -> bool:
        """Whether the job's outputs are there, and neither they nor what they were made from have changed."""
        stamp = self._stamp(job)
        if not isinstance(stamp, Mapping):
            return False
        state = self._state(job)
        return state is not None and stamp.get("state") == state

    def otherwise(self, job: Job) -> bool:
        """Whether the output was made by another command line, as far as it is known."""
        state = self._known(job)
        return bool(state) and state.get("words") != job.words(self._options)

    def touched(self, job: Job) -> bool:
        """Whether the images are others than when the output was made, or some have another size or time."""
        before, now = self._known(job).get("images"), self._images(job)
        return bool(before and now and before != now)

    def _known(self, job: Job) -> Mapping[str, Any]:
        """What the output was made from, empty if nobody knows."""
        stamp = self._stamp(job)
        state = stamp.get("state") if isinstance(stamp, Mapping) else None
        return state if isinstance(state, Mapping) else {}

    def _images(self, job: Job) -> str | None:
        return None if job.images is None else self._sources.digest(job.images, job.root, job.label_column)

    def seconds(self, job: Job) -> float | None:
        """How long the same command line took the last time, None if that is not known. The file may say anything."""
        stamp = self._stamp(job)
        seconds = stamp.get("seconds") if isinstance(stamp, Mapping) and not self.otherwise(job) else None
        return float(seconds) if isinstance(seconds, int | float) and 0 < seconds < _LONGEST else None

    def put(self, job: Job, seconds: float | None, before: Mapping[str, Any] | None) -> None:
        """The job is done. seconds: of the work, None if there was none to do.

        before: its `made_from` before it began. If that is another one now, nobody knows which the outputs have seen.
        """
        known = round(seconds, 1) if seconds is not None else self.seconds(job)
        if job.images is not None or job.command == "sample":
            self._sources.forget()
        same = before is not None and before == self.made_from(job)
        self._stamps[str(job.output)] = {"state": self._state(job) if same else None, "seconds": known}
        write_json(self._path, self._stamps)

    def made_from(self, job: Job) -> dict[str, Any] | None:
        """Command line, images, and the state of every input; None if one is missing."""
        files = self._files(job.inputs)
        images = self._images(job)
        if files is None or (job.images is not None and images is None):
            return None
        found: dict[str, Any] = {"words": job.words(self._options), "images": images, "files": files}
        if job.images is not None and job.options.get("voc"):
            found["annotations"] = _annotations(Path(job.images))
        made_from: dict[str, Any] = plain(found)
        return made_from

    def _stamp(self, job: Job) -> Any:
        return self._stamps.get(str(job.output))

    def _state(self, job: Job) -> dict[str, Any] | None:
        """What the job is made from, and the state of every output; None if a file is missing."""
        outputs, made_from = self._files(job.outputs), self.made_from(job)
        if outputs is None or made_from is None:
            return None
        return made_from | {"files": made_from["files"] | outputs}

    def _files(self, paths: Sequence[Path]) -> dict[str, Any] | None:
        try:
            files = {str(path): self._file(path) for path in paths}
        except OSError:
            return None
        return None if None in files.values() else files

    def _file(self, path: Path) -> dict[str, Any] | str | None:
        return self._sources.digest(str(path), None) if path.is_dir() else file_state(path)


def _annotations(folder: Path) -> str:
    """Of what fne split --voc reads beside the images: SHA-256 over names, sizes and times."""
    digest = hashlib.sha256()
    for path in sorted((*folder.glob("Annotations/*.xml"), *folder.glob("ImageSets/Main/*.txt"))):
        try:
            state = file_state(path)
        except OSError:  # gone just now, or a link to nowhere
            state = {}
        digest.update(f"{path.name}\0{state}\n".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
