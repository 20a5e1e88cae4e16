"""The output of a step whose work may be shared: by this process, or put together from what workers leave."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from fne_cli.store.format.schema import Layer
from fne_cli.store.format.writer import Writer
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.stream import copy_images
from fne_cli.store.output.origin import Origin
from fne_cli.store.output.partial import Output
from fne_cli.store.output.record import new_run, software, time_run
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.parts import PARTS, Parts, remove_parts


@contextmanager
def streamed_output(
    path: Path,
    origin: Origin,
    files: JoinedFiles,
    cluster: Cluster | None,
    *,
    layers: Sequence[Layer] = (),
    beside: Mapping[Path, str] | None = None,
) -> Iterator[tuple[Writer, Parts | None]]:
    """Yield the writer of the output, and the parts that a cluster's workers leave (None without one).

    layers: those with a row for each row of `files`; with any, the image table is copied too.
    beside: fingerprints of what else workers read, by path. The output appears when the block ends; after an exception
    there is none.
    """
    versions = software("numba")
    digest = origin.fingerprint
    made_of = [digest, [file.fingerprint for file in files.files]]  # spans are cut in the order of the files
    rows: dict[str, Any] = {"table": files.table()} if layers else {}
    began, run = time.monotonic(), new_run(versions)
    with (
        Output(path) as output,
        parts_of(path, made_of, {**files.fingerprints, **(beside or {})}, cluster) as parts,
        Writer.create(
            output.into,
            origin.kind,
            layers,
            files.rows,
            settings=origin.settings,
            sources=origin.sources,
            software=versions,
            fingerprint=digest,
            **rows,
        ) as writer,
    ):
        if layers:
            copy_images(files, writer)
        yield writer, parts
        writer.close()
        run["images"] = len(files)
        time_run(run, time.monotonic() - began)
        output.accept({"fingerprint": digest, **origin.noted(path), "runs": [run]})


def parts_of(
    output: Path, made_of: Any, inputs: Mapping[Path, str], cluster: Cluster | None
) -> AbstractContextManager[Parts | None, bool | None]:
    """The parts of an output that a cluster works on; without one, None, and what one has left goes at the end."""
    return _alone(output) if cluster is None else Parts(output, made_of, inputs, cluster)


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    yield
    if output.with_name(output.name + PARTS).exists():
        remove_parts(output)
