"""A search in spans of queries: here, or by the workers of a cluster, to the same bits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.machine import free_memory
from fne_cli.numerics.neighbours.search import QUERIES, Found, Wanted, find
from fne_cli.progress import Progress
from fne_cli.steps.search.options import SearchOptions
from fne_cli.steps.search.sides import Sides, open_sides
from fne_cli.tasks.files import Result, TaskFiles, open_inputs, task
from fne_cli.tasks.parts import Parts
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors

_FEWEST = 16  # queries of a task


def found_here(
    sides: Sides, vectors: Vectors, wanted: Wanted, memory: int, progress: Progress
) -> Iterator[tuple[slice, Found]]:
    """Blocks of queries, in order, and what was found for them, by this process."""
    queries, rows = sides.rows(vectors, progress)
    with progress.track(len(sides.queries), "queries") as advance:
        for span, found in find(queries, rows, wanted, memory // 2, sides.own):
            yield span, found
            advance(len(found))


def found_there(
    parts: Parts, sides: Sides, vectors: Vectors, options: SearchOptions, wanted: Wanted
) -> Iterator[tuple[slice, Found]]:
    """The same by workers: each takes a span of the queries, among all others."""
    embedding = vectors.fitted()
    state = {} if embedding is None or vectors.projection is not None else embedding.state()
    kept = parts.files("embedding")
    kept.save(**state)
    own = {
        "paths": _absolute(vectors.files.paths),
        "queries": _absolute(sides.paths),
        "vectors": _plain(vectors.options),
        "state": {name: kept.path(f"{name}.npy").name for name in state},
        "options": _plain(options),
        "wanted": {**asdict(wanted), "within": repr(wanted.within)},
    }
    row = max(1, vectors.row_bytes() * vectors.crops)
    step = int(min(QUERIES, max(_FEWEST, parts.sizes.row_bytes // row)))
    spans = [(start, min(start + step, len(sides.queries))) for start in range(0, len(sides.queries), step)]
    tasks = [{**own, "span": span} for span in spans]
    results = parts.results("search", tasks, "found", [stop - start for start, stop in spans], unit="queries")
    for (start, stop), (_, files) in zip(spans, results, strict=True):
        yield slice(start, stop), Found(*(files.load(name) for name in ("starts", "places", "distances")))


@task
def search_span(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: what is found for a span of the queries."""
    options = SearchOptions(**_again(settings["options"]))
    memory = options.memory or free_memory() // 2
    wanted = Wanted(**{**settings["wanted"], "within": float(settings["wanted"]["within"])})
    start, stop = settings["span"]
    given = {**settings, "paths": settings["paths"]}
    with ExitStack() as stack:
        source = stack.enter_context(open_inputs(given, *KINDS))
        vectors = Vectors(source, VectorOptions(**_again(settings["vectors"])), memory)
        if settings["state"]:
            vectors.restore({name: np.array(files.beside(file)) for name, file in settings["state"].items()})
        sides = open_sides(source, vectors, settings["queries"], options, memory, stack, progress)
        queries, rows = sides.asked.part(start, stop).rows(vectors, progress), vectors.rows(sides.asked.others)
        own = None if sides.own is None else sides.own[start:stop]
        parts = []
        with progress.track(stop - start, "queries") as advance:
            for _, found in find(queries, rows, wanted, memory // 2, own):
                parts.append(found)
                advance(len(found))
    counts = np.concatenate([np.diff(found.starts) for found in parts])
    files.save(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        places=np.concatenate([found.places for found in parts]),
        distances=np.concatenate([found.distances for found in parts]),
    )
    return {"queries": stop - start}


def fingerprints(vectors: Vectors, sides: Sides) -> dict[Path, str]:
    """Of all files that workers read."""
    given, projection = sides.asked.files, vectors.projection
    beside = {} if given is None else given.fingerprints
    return vectors.files.fingerprints | beside | ({} if projection is None else projection.fingerprints)


def _absolute(paths: Sequence[Path]) -> list[str]:
    return [os.path.abspath(path) for path in paths]


def _plain(options: Any) -> dict[str, Any]:
    """Options as JSON has them; a path as an object, which no other value is."""
    said = {field.name: getattr(options, field.name) for field in fields(options)}
    return {
        name: {"path": os.path.abspath(value)} if isinstance(value, Path) else value for name, value in said.items()
    }


def _again(values: Mapping[str, Any]) -> dict[str, Any]:
    again: Callable[[Any], Any] = lambda value: Path(value["path"]) if isinstance(value, dict) else value  # noqa: E731
    return {name: tuple(value) if isinstance(value, list) else again(value) for name, value in values.items()}
