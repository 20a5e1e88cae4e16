"""features -> the nearest images of every query, or the pairs that are the same picture."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.figures.gallery import Gallery, Near, Query
from fne_cli.machine import free_memory
from fne_cli.numerics.neighbours.search import Found, Wanted
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.search.duplicates import Duplicates, find_duplicates
from fne_cli.steps.search.options import SearchOptions
from fne_cli.steps.search.pictures import Pictures
from fne_cli.steps.search.sides import Sides, check_some, is_features, open_sides
from fne_cli.steps.search.tables import check_ending, is_output, objects, write_csv, write_json_lines
from fne_cli.steps.search.tasks import fingerprints, found_here, found_there
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.up_to_date import is_recorded
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.output import parts_of
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors

__all__ = ["Duplicates", "SearchOptions", "Searched", "VectorOptions", "find_duplicates", "is_output", "search"]

_FACTS = ("embedding", "layers", "rows", "pool", "metric", "within", "queries", "among")  # of settings, on a page
_PRINTED = 1_000_000  # neighbours without an OUTPUT


@dataclass(frozen=True)
class Searched:
    """How many images were looked for among how many, by which metric of which vectors, and how many were found.

    path: the output, if there is one; without, `lines` has an object for each query, as JSON lines have it.
    """

    path: Path | None
    queries: int
    among: int
    metric: str
    embedding: str
    found: int = 0
    lines: list[dict[str, Any]] = field(default_factory=list)
    up_to_date: bool = False


def search(
    features: Path,
    asked: Sequence[str] = (),
    output: Path | None = None,
    *,
    vectors: VectorOptions = VectorOptions(),  # noqa: B008  # frozen
    options: SearchOptions = SearchOptions(),  # noqa: B008  # frozen
    cluster: Cluster | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Searched:
    """Find the nearest images of every query among those of `features`, exactly.

    asked: another features file, image files, or a folder, manifest or archive of images; without any, images of
    `features` are looked for, and none is its own neighbour. output: .csv, .jsonl or .html. With a `cluster` its
    workers take spans of the queries, to the same bits. Raises the errors of fne_cli.errors.
    """
    ending = "" if output is None else check_ending(output)
    page, pictures = ending == ".html", bool(asked) and not is_features(asked[0])
    options.check(bool(asked), pictures, page)
    check_page(page)
    if cluster is not None and (output is None or page or pictures):
        raise WrongOptions(
            "--cluster is for a table, .csv or .jsonl, of queries that are in a features file. Found: another search."
        )
    memory = options.memory or free_memory() // 2
    with ExitStack() as stack:
        files = stack.enter_context(JoinedFiles(features, *KINDS))
        found_by = Vectors(files, vectors, memory)
        wanted = options.wanted(found_by.ternary, files.crops, page)
        sides = open_sides(files, found_by, asked, options, memory, stack, progress)
        check_some(sides, files)
        done = Searched(output, len(sides.queries), len(sides.others), wanted.metric, found_by.called)
        origin = _origin(found_by, sides, wanted, options, ending)
        if output is not None and is_recorded(
            output,
            origin.fingerprint,
            origin,
            overwrite,
            "this search. Found: another, or one that has changed since",
            progress,
        ):
            return replace(done, up_to_date=True)
        if page:
            sides = _some(sides, options.shown)
        counted = _Counted()
        if output is None:
            most = _PRINTED // max(1, len(sides.queries))
            lines = objects(
                sides, wanted.metric, counted.few(found_here(sides, found_by, wanted, memory, progress), most)
            )
            return replace(done, lines=list(lines), found=counted.found)
        made_of = [origin.fingerprint, list(files.fingerprints.values())]
        with (
            Output(output) as target,
            parts_of(output, made_of, fingerprints(found_by, sides), cluster) as parts,
        ):
            if parts is None:
                found = found_here(sides, found_by, wanted, memory, progress)
            else:
                found = found_there(parts, sides, found_by, options, wanted)
            with closing(counted.all(found)) as blocks:
                if page:
                    _write_page(target.into, sides, wanted, blocks, files, asked if pictures else (), options, origin)
                else:
                    write = write_csv if ending == ".csv" else write_json_lines
                    with open(target.into, "w", newline="", encoding="utf-8") as file:
                        write(file, objects(sides, wanted.metric, blocks))
            target.accept_noted({"fingerprint": origin.fingerprint, **origin.noted_whole(output)})
        return replace(done, found=counted.found)


def check_page(page: bool) -> None:
    """Raises BadInput if a page is to be made, and what makes it is not installed."""
    if page and importlib.util.find_spec("jinja2") is None:
        raise BadInput("A page needs Jinja2, which is not installed. pip install 'fne-cli[report]'")


class _Counted:
    """How many neighbours have passed."""

    def __init__(self) -> None:
        self.found = 0

    def all(self, blocks: Iterator[tuple[slice, Found]]) -> Generator[tuple[slice, Found]]:
        """Count what passes."""
        for span, part in blocks:
            self.found += len(part.places)
            yield span, part

    def few(self, blocks: Iterator[tuple[slice, Found]], most: int) -> Iterator[tuple[slice, Found]]:
        """The same. Raises WrongOptions for more than can be printed."""
        for span, part in self.all(blocks):
            if self.found > _PRINTED:
                raise WrongOptions(
                    f"At most {_PRINTED:,} neighbours can be printed, {most:,} for each query. Found: more.\n"
                    "Name an OUTPUT that ends in .csv or .jsonl."
                )
            yield span, part


def _origin(vectors: Vectors, sides: Sides, wanted: Wanted, options: SearchOptions, ending: str) -> Origin:
    settings = {
        **vectors.described(),
        **{name: value for name, value in asdict(wanted).items() if name != "within"},
        "within": None if wanted.within == np.inf else wanted.within,
        "queries": sides.name if sides.own is not None else None,
        "among": sides.other,
        "form": ending,
    }
    if ending == ".html":
        settings |= {"images": options.images, "root": options.root, "shown": options.shown}
    return Origin(
        "search",
        settings,
        [*vectors.sources(), *sides.sources],
        {**vectors.inputs_by_role(), "queries": sides.paths},
        with_network=("layers",),
        network=vectors.files.settings,
    )


def _some(sides: Sides, shown: int) -> Sides:
    """The sides with at most `shown` queries, evenly from all of them."""
    count = len(sides.queries)
    if count <= shown:
        return sides
    if sides.asked.images is not None:
        raise WrongOptions(
            f"A page should show all queries that are images. Found: {count:,}. Give --shown {count}, or fewer images."
        )
    kept = np.linspace(0, count - 1, shown).round().astype(np.int64)
    return sides.kept(kept)


def _write_page(
    path: Path,
    sides: Sides,
    wanted: Wanted,
    blocks: Iterator[tuple[slice, Found]],
    files: JoinedFiles,
    asked: Sequence[str],
    options: SearchOptions,
    origin: Origin,
) -> None:
    """Write the page of the queries with their neighbours."""
    from fne_cli.figures.gallery_page import render  # needs Jinja2

    near = [part.of(number) for _, part in blocks for number in range(len(part))]
    pictures = Pictures.of(options.images, options.root, files.settings)
    shots = dict(_numbered(pictures, sides, sorted({int(place) for places, _ in near for place in places})))
    own = pictures.shots(sides.queries, range(len(sides.queries)), asked)
    anchors = {} if sides.own is None else {int(place): number for number, place in enumerate(sides.own, 1)}
    queries = []
    for shot, (places, distances) in zip(own, near, strict=True):
        around = [
            Near(shots[place], distance, _same(shot.label, shots[place].label), anchors.get(place, 0))
            for place, distance in zip(places.tolist(), distances.tolist(), strict=True)
        ]
        queries.append(Query(shot, around))
    settings = dict(origin.settings)
    told = [(name, _text(settings[name])) for name in _FACTS if settings.get(name) is not None]
    facts = [("features", files.name), ("images compared with", f"{len(sides.others):,}"), *told]
    count = "1 query and its" if len(queries) == 1 else f"{len(queries):,} queries and their"
    lead = (
        f"{count} nearest images among {len(sides.others):,}, by {wanted.metric} of {settings['embedding']}. "
        "The numbers beside a picture are its rank and its distance."
    )
    path.write_bytes(render(Gallery(f"Nearest images in {files.name}", lead, facts, queries=queries)))


def _numbered(pictures: Pictures, sides: Sides, places: Sequence[int]) -> Iterator[tuple[int, Any]]:
    yield from zip(places, pictures.shots(sides.others, places), strict=True)


def _same(one: str, other: str) -> bool | None:
    """Whether two labels have a class in common; None if one has none."""
    return bool(set(one.split(";")) & set(other.split(";"))) if one and other else None


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
