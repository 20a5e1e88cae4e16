"""The figures, the table and the numbers of a folder."""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from fne_cli.errors import BadInput
from fne_cli.progress import Progress
from fne_cli.steps.map.pictures import draw
from fne_cli.steps.map.work import COLUMNS, Options, Work
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import fingerprint
from fne_cli.store.other.drawings import Drawings
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, software, time_run
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.vectors.classified import SavedClassifier

MAPS, WRONG = "maps", "wrong"
TABLE, NUMBERS = "maps.csv", "maps.json"
MOST = 96  # panels of a figure


@dataclass(frozen=True)
class Mapped:
    """The folder; how many images there are, are missing, are wrong. pointing: how well maps find boxes, if known."""

    folder: Path
    images: int = 0
    missing: int = 0
    wrong: int = 0
    pointing: dict[str, Any] | None = None
    up_to_date: bool = False


class Outputs:
    """The figures, the table and the numbers of a folder. Use as a context manager to write them."""

    def __init__(self, folder: Path, origin: Origin, digest: str, names: Sequence[str]) -> None:
        self._folder, self._origin, self._digest, self._names = folder, origin, digest, names
        self._drawings = Drawings(folder, "map", names, digest, origin)
        self._stack = ExitStack()
        self._open: dict[str, Output] = {}

    @classmethod
    def of(
        cls,
        folder: Path,
        options: Options,
        saved: SavedClassifier,
        source: Reader,
        boxes: dict[str, str] | None,
        inputs: dict[str, tuple[Path, ...]],
    ) -> Self:
        """Of these options and inputs."""
        settings = asdict(options) | {"only": list(options.only)}
        more = [] if boxes is None else [boxes]
        origin = Origin("maps", settings, [*saved.origin_sources(source), *more], inputs, network=source.settings)
        names = [MAPS, WRONG] if options.wrong and not options.only else [MAPS]
        return cls(folder, origin, fingerprint("maps", settings, [*saved.sources(source), *more]), names)

    def are_there(self, overwrite: bool, progress: Progress) -> bool:
        """Whether all are. Raises DifferentOutput if others are."""
        drawn = self._drawings.are_there(overwrite, "these files", progress)
        what = "the maps of these files. Found: those of others, or changed since"
        return drawn and all(
            is_recorded(self._folder / name, self._of(name), self._origin, overwrite, what)
            for name in (TABLE, NUMBERS)
        )  # fmt: skip

    def _of(self, name: str) -> str:
        return hashlib.sha256(f"{name} {self._digest}".encode()).hexdigest()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in (TABLE, NUMBERS):
                path = self._folder / name
                self._open[name] = stack.enter_context(Output(path))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, work: Work, progress: Progress) -> Mapped:
        """Go through the images, and fill all."""
        began, run = time.monotonic(), new_run(software("matplotlib"))
        with (
            progress.track(len(work.numbers), "images") as advance,
            open(self._open[TABLE].into, "w", newline="", encoding="utf-8") as file,
        ):
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(COLUMNS)
            lines.writerows(work.lines(advance))
        if work.missing == len(work.numbers) and work.pictures.images is not None:
            raise BadInput(
                f"--images {work.pictures.images} should have the images of the file. Found: none of "
                f"{len(work.numbers):,}, such as {work.images.path[int(work.numbers[0])]}."
            )
        choice = work.choice
        if choice.only and not choice.shown:
            raise BadInput(
                f"--only should name images of the chosen rows. Found: {', '.join(choice.only)}, which none is."
            )
        pages = {MAPS: choice.shown, **({WRONG: choice.wrongly} if WRONG in self._names else {})}
        for name, shown in pages.items():
            if len(shown) > MOST:
                progress.note(
                    f"{name}: the first {MOST} of {len(shown):,} maps are drawn. Choose with --only or --class"
                )
        entries = {name: work.described(shown[:MOST]) for name, shown in pages.items()}
        with self._drawings:
            for name, own in entries.items():
                draw(self._drawings, name, own, [one.image for one in pages[name][:MOST]], work)
        pointing = work.tally.described() if work.objects is not None else None
        counts = {"images": len(work.numbers), "missing": work.missing, "wrong": work.wrong}
        head = {"format": "fne", "kind": "maps"}
        self._open[NUMBERS].write_json({**head, **counts, "pointing": pointing, "drawn": entries})
        run["images"] = len(work.numbers)
        time_run(run, time.monotonic() - began)
        for name, output in self._open.items():
            noted = {"fingerprint": self._of(name), **self._origin.noted_whole(output.path), "runs": [run]}
            output.accept_noted(noted)
        return Mapped(self._folder, len(work.numbers), work.missing, work.wrong, pointing)
