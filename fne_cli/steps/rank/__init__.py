"""activations, codes or z-scores of several sources -> which of them fits the classes best, without training."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from fne_cli.errors import BadInput, DoesNotFit, WrongOptions
from fne_cli.machine import free_memory, thread_pool
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.rank.likeness import Likeness, likeness
from fne_cli.steps.rank.measure import Measuring
from fne_cli.steps.rank.sources import Source, check_same_task
from fne_cli.steps.rank.tables import Ranked, Tables, draw
from fne_cli.store.many.joined import JoinedFiles

__all__ = ["Likeness", "Ranked", "Ranking", "rank"]

KINDS = ("activations", "codes", "standardized")


@dataclass(frozen=True)
class Ranking:
    """The name of the rows; the files, the best first by the evidence of all their layers; likeness if asked for.

    path: the CSV file, if there is one, and whether all was there already. figures: the folder of the figure.
    """

    rows: str
    files: list[Ranked] = field(default_factory=list)
    likeness: Likeness | None = None
    path: Path | None = None
    up_to_date: bool = False
    figures: Path | None = None


def rank(
    files: Sequence[Path],
    *,
    layers: Sequence[str] = (),
    pool: str | None = None,
    rows: str | None = None,
    neighbours: int = 20,
    cka: bool = False,
    csv: Path | None = None,
    figures: Path | None = None,
    memory: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Ranking:
    """LogME, evidence, H-score and nearest neighbours of each file and each of its layers, by training images only.

    layers: names or globs, of every file. pool: avg for averages over maps, of files with those over cells. rows:
    "train" (default if there are splits), "all", or any split. neighbours: how many vote. cka: also how alike all
    layers and all files are. csv: a file for the table (with `cka` a second one beside it). figures: a folder for the
    matrix of `cka` as PNG and SVG. memory: bytes, by default half of what is free. seed: of the rows whose neighbours
    are looked for, if there are many. Raises the errors of fne_cli.errors: DoesNotFit before anything is computed.
    """
    if figures is not None and not cka:
        raise WrongOptions("--figures draws how alike layers and files are. Give --cka with it.")
    if figures is not None and importlib.util.find_spec("matplotlib") is None:
        raise BadInput("--figures needs matplotlib, which is not installed. pip install 'fne-cli[report]'")
    with ExitStack() as stack:
        opened = [stack.enter_context(JoinedFiles(path, *KINDS)) for path in files]
        sources = [Source(file, file.select(layers), rows, pool) for file in opened]
        check_same_task(sources, alike=cka)
        pooled = {} if pool is None else {"pool": pool}
        tables = Tables(
            csv, sources, {"layers": list(layers), "neighbours": neighbours, "cka": cka, "seed": seed, **pooled}
        )
        there = tables.are_there(overwrite, progress)
        drawing = None if figures is None else tables.drawing(figures)
        drawn = drawing is None or drawing.are_there(overwrite, "these files", SILENT if there else progress)
        if there:
            known, like = tables.read_back()
            if drawing is not None and like is not None and not drawn:
                draw(drawing, like)
            return Ranking(sources[0].rows, known, like, csv, up_to_date=drawn, figures=figures)
        for absent in (source.file.absent for source in sources if source.file.absent):
            progress.note(absent)
        if rows is None and sources[0].rows == "all":
            progress.note(f"{sources[0].name} has no splits: all {sources[0].count:,} rows count as training rows")
        measuring = Measuring(neighbours, seed)
        _check_memory(sources, measuring, free_memory() // 2 if memory is None else memory)
        with tables, thread_pool() as threads:
            found = [_ranked(source, measuring, threads, progress) for source in sources]
            found.sort(key=lambda one: -one.whole.evidence)
            alike = likeness(sources, progress) if cka else None
            tables.write(found, alike)
        if drawing is not None and alike is not None and not drawn:
            draw(drawing, alike)
    return Ranking(sources[0].rows, found, alike, csv, figures=figures)


def _ranked(source: Source, measuring: Measuring, pool: Executor, progress: Progress) -> Ranked:
    parts = source.parts()
    with progress.track(len(parts), f"{source.name}: layers") as advance:
        fits = []
        for part in parts:
            fits.append(measuring.fit(source, part, pool))
            advance(1)
    return Ranked(source.path, source.network, len(source.images), source.count, source.classes, fits)


def _check_memory(sources: Sequence[Source], measuring: Measuring, memory: int) -> None:
    """Raises DoesNotFit if some part takes more."""
    for source in sources:
        for part in source.parts():
            needed = measuring.bytes_of(source, part)
            if needed > memory:
                raise DoesNotFit(
                    f"{source.name}: {part.name} has {part.features:,} features and {source.count:,} rows, whose "
                    f"products take {needed / 2**30:.1f} GiB of {memory / 2**30:.1f} GiB. Give more with "
                    "--memory, fewer layers with --layers, or fewer images with --rows."
                )
