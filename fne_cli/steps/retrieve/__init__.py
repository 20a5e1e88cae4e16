"""activations or codes -> how well images of a kind find each other: average precision, precision, recall."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.machine import free_memory, thread_pool
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.retrieve.measure import Measured, measured
from fne_cli.steps.retrieve.options import RetrievalOptions
from fne_cli.steps.retrieve.outputs import COLUMNS, Outputs, lines_of
from fne_cli.steps.retrieve.ranking import Rankings
from fne_cli.steps.retrieve.relevance import Relevance, Truth, by_column, by_label, column_of, read_truth
from fne_cli.store.format.text import parse_json
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.other.results import VERSION
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.record import new_run, sha256_of, software, time_run
from fne_cli.store.output.sealed import without_digest
from fne_cli.vectors.items import Items
from fne_cli.vectors.options import KINDS, VectorOptions
from fne_cli.vectors.vectors import Vectors

__all__ = ["Retrieval", "RetrievalOptions", "VectorOptions", "retrieve"]


@dataclass(frozen=True)
class Retrieval:
    """The results as `--json` prints them, the file they are in (if any), and whether they were computed now."""

    results: dict[str, Any]
    path: Path | None
    up_to_date: bool = False


def retrieve(
    features: Path | Sequence[Path],
    results: Path | None = None,
    vectors: VectorOptions = VectorOptions(),  # noqa: B008  # frozen
    options: RetrievalOptions = RetrievalOptions(),  # noqa: B008  # frozen
    *,
    each_layer: bool = False,
    per_query: Path | None = None,
    memory: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Retrieval:
    """Rank all images for every query, and measure the rankings; figures are fractions.

    The options are those of `fne retrieve`; docs/cli.md describes them. each_layer: every layer alone, too. per_query:
    a CSV file with a line for each query. memory: bytes, by default half of what is free. seed: of the intervals.
    Raises the errors of fne_cli.errors: DoesNotFit before anything is computed.
    """
    options.check()
    allowed = free_memory() // 2 if memory is None else memory
    with JoinedFiles(features, *KINDS) as files:
        whole = Vectors(files, vectors, allowed)
        queries, among = (
            Items.of(files, np.flatnonzero(_rows(files, role, name)), options.regions)
            for role, name in (("--queries", options.queries), ("--among", options.among))
        )
        truth = None if options.truth is None else read_truth(options.truth)
        origin = _origin(whole, options, each_layer, seed)
        outputs = Outputs(results, per_query, origin)
        if outputs.are_there(overwrite, progress) and results is not None:
            return Retrieval(without_digest(parse_json(results.read_bytes())), results, up_to_date=True)
        if absent := files.absent:
            progress.note(absent)
        if seen := whole.seen(queries.images):
            progress.note(seen)
        began, run = time.monotonic(), new_run(software("scipy", "numba"))
        with outputs, thread_pool() as pool:
            measuring = _Measuring(whole, queries, among, options, truth, seed)
            table, lines = [], []
            for name, part in _parts(whole, each_layer):
                for entry, found in measuring.entries(name, part, pool, progress):
                    table.append(entry)
                    lines += list(lines_of(name, found, measuring.queries, among)) if per_query is not None else []
                    columns = list(found.values)
            document = {
                "format": "fne",
                "version": VERSION,
                "kind": "retrieval",
                "fingerprint": origin.fingerprint,
                "settings": origin.settings,
                "sources": list(origin.sources),
                "software": software("scipy", "numba"),
                "made_from": files.settings,
                "results": table,
            }
            time_run(run, time.monotonic() - began)
            outputs.finish(document, [(*COLUMNS, *columns), *lines], run)
    return Retrieval(document, results)


@dataclass
class _Measuring:
    whole: Vectors
    queries: Items
    among: Items
    options: RetrievalOptions
    truth: Truth | None
    seed: int

    def __post_init__(self) -> None:
        self.relevance = self._relevance()
        options = self.options
        if options.by is not None and options.manifest is not None:
            self._by = np.array(column_of(options.manifest, options.by, self.queries, "--by"))

    def _relevance(self) -> Relevance:
        options = self.options
        if self.truth is not None:
            places, relevance = self.truth.match(self.queries, self.among)
            self.queries = self.queries.chosen(places)
            return relevance
        if options.relevant != "label" and options.manifest is not None:
            return by_column(options.manifest, options.relevant, self.queries, self.among)
        return by_label(self.whole.files, self.queries, self.among)

    def entries(
        self, name: str, part: Vectors, pool: Executor, progress: Progress
    ) -> Iterator[tuple[dict[str, Any], Measured]]:
        """An entry of the results for each set-up, and what it is made of."""
        rankings = Rankings.of(part, self.queries, self.among, self.options, pool)
        every = measured(rankings, self.relevance, self.options.at, pool, progress)
        if not any(len(found.queries) for found in every):
            raise BadInput(
                f"{part.files.name} should have queries with relevant images. Found: none, of {len(self.queries):,}. "
                "Check the labels, --queries and --among."
            )
        for found in every:
            if not len(found.queries):  # such as hard of a ground truth that has easy ones alone
                progress.note(f"no query has relevant images in set-up {found.setup}, which is left out")
                continue
            entry = {
                "name": name,
                "embedding": part.called,
                **({"setup": found.setup} if found.setup else {}),
                "metric": rankings.metric,
                "features": part.count,
                "bytes_per_image": part.row_bytes() * part.crops,
                "database": len(self.among),
                "queries_without_relevant": found.without,
                **found.means(self.seed),
            }
            if self.options.by is not None:
                values = self._by[found.queries]
                entry["by"] = {
                    value: found.means(self.seed, values == value) for value in dict.fromkeys(values.tolist())
                }
            yield entry, found


def _parts(whole: Vectors, each_layer: bool) -> Iterator[tuple[str, Vectors]]:
    yield whole.called, whole
    if each_layer:
        for layer in whole.layers:
            yield layer.name, whole.alone(layer.name)


def _rows(files: JoinedFiles, role: str, name: str) -> np.ndarray:
    try:
        return files.chosen(name)[1]
    except BadInput as error:
        raise BadInput(error.problem.replace("--rows", role)) from error


def _origin(whole: Vectors, options: RetrievalOptions, each_layer: bool, seed: int) -> Origin:
    beside = {"manifest": options.manifest, "truth": options.truth}
    settings = {
        **whole.described(),
        **options.described(),
        **({"metric": options.metric} if options.metric else {}),
        **({"each_layer": True} if each_layer else {}),
        "seed": seed,
    }
    sources = [{"kind": role, "fingerprint": sha256_of(path)} for role, path in beside.items() if path is not None]
    return Origin(
        "retrieval",
        settings,
        [*whole.sources(), *sources],
        {**whole.inputs_by_role(), **{role: (path,) for role, path in beside.items() if path is not None}},
        with_network=("layers",),
        network=whole.files.settings,
    )
