"""fne extract on many machines: shards out, files in, and the bytes of one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fne_cli.clusters.engine import Engine
from fne_cli.errors import Stopped
from fne_cli.progress import SILENT, Progress, counted
from fne_cli.steps.extract import Extraction, Recipe
from fne_cli.steps.extract.sharded import Sharded
from fne_cli.steps.merge import merge


def extract(
    start: Callable[[], AbstractContextManager[Engine]],
    images: str,
    activations: Path,
    recipe: Recipe = Recipe(),  # noqa: B008  # frozen
    *,
    shard_rows: int | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
    **options: Any,
) -> Extraction:
    """As steps.extract.extract, by the workers that `start` brings; also raises the errors of Engine.

    workers: threads that decode images, of each worker.
    """
    sharded = Sharded(images, activations, recipe, workers=workers, progress=progress, **options)
    done = sharded.already_done()
    if done is not None:
        return done
    began = time.monotonic()
    if sharded.as_one:
        with start() as engine:
            sharded.workers = workers or engine.threads
            ((_, result),) = engine.run("extract", [sharded.whole_task()], unit="images", sizes=[len(sharded.listing)])
        return sharded.whole_done(result)
    with sharded.output:
        with start() as engine:
            sharded.workers = workers or engine.threads
            ((_, outline),) = engine.run("outline", [sharded.outline_task()], unit="")
            done = sharded.is_there(outline)
            if done is not None:
                return done
            tasks = sharded.begin(outline, engine.workers, shard_rows)
            try:
                for _ in engine.run("extract", tasks, unit="images", sizes=sharded.sizes(), done=sharded.done()):
                    pass
            except Stopped as stop:
                safe, total = sum(sharded.done()), len(sharded.listing)
                message = f"Stopped with {safe:,} of {total:,} images safe. Run the same command again to go on."
                raise Stopped(message, stop.exit_code) from stop
        progress.note(f"merging {counted(len(tasks), 'shard')}")
        merge(sharded.shards, sharded.merged, overwrite=True, progress=progress)
        return sharded.finish(time.monotonic() - began)
