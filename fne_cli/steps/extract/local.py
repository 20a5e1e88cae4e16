"""One extraction by this process: what is there goes on, what is complete is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fne_cli.networks.recipe import Recipe
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.extract import precision
from fne_cli.steps.extract.done import Extraction
from fne_cli.steps.extract.request import ExtractionRequest
from fne_cli.steps.extract.sources import Source, open_source
from fne_cli.store.output.estimate import check_fits, estimate
from fne_cli.store.output.notes import read_record
from fne_cli.store.output.record import new_run, plain, software
from fne_cli.store.output.resume import Growing

if TYPE_CHECKING:
    from fne_cli.steps.extract.known import Known


def extract_here(
    request: ExtractionRequest,
    prepare: Callable[[Recipe], Source] = open_source,
    announce: Callable[[str], None] | None = None,
    *,
    progress: Progress = SILENT,
) -> Extraction:
    """Do what is asked for; `prepare` makes the source, `announce` tells that it begins. Raises as `extract`."""
    announce = announce or progress.note
    output, recipe, options, table = request.output, request.recipe, request.options, request.table()
    output.check_place()
    if (done := request.already_done()) is not None:
        return done
    request.check_place()

    # Not before: who is up to date need not wait for Pillow.
    from fne_cli.steps.extract.batches import BatchLoop
    from fne_cli.steps.extract.known import known_rows

    request.recipe = precision.kept(recipe, output, request.inputs, options.overwrite, {})
    request.check_known()
    progress.note(f"loading {recipe.model}")
    source = prepare(request.recipe)
    settings = plain(source.settings() | ({"shard": request.part} if request.part else {}))
    request.recipe = precision.settled(request.recipe, settings)
    layers, versions = request.layers_of(source), software(*source.packages)
    wanted = estimate(request.path, layers, table, len(table) * recipe.crops)
    if (there := request.is_there(settings, versions, progress)) is not None:
        return there
    check_fits(request.path, wanted)
    for text in source.notes():
        announce(text)
    if options.dry_run:
        request.settle(settings, progress)
        with known_rows(request, layers, settings, versions, progress) as known:
            _announce_known(known, announce)
        return Extraction(request.path, len(table), [], estimate=wanted)

    with output:
        request.settle(settings, progress)
        with known_rows(request, layers, settings, versions, progress) as known:
            if known.count < len(table):
                source.extractor(progress.note)  # what cannot be computed leaves nothing behind
            if request.path.exists() and not options.overwrite and not request.follows:
                complete = {"images": len(table), "committed": len(table), "inputs": request.inputs}
                output.begin_with(request.path, complete | {"runs": read_record(request.path).get("runs", [])})
            made_by = known.versions
            with Growing.start(output, layers, table, settings, request.inputs, made_by, options.overwrite) as growing:
                announce(f"{request.path}: {len(table):,} images, {wanted}")
                if growing.committed:
                    announce(f"going on after {growing.committed:,} of {len(table):,} images")
                _announce_known(known, announce)
                run = new_run(versions, source.device()) | known.told
                with progress.deferred() as asked:
                    growing.begin_run(run)
                    BatchLoop(source, request, growing, known, run, progress, asked).finish(options.retry_bad)
                growing.finish(request.inputs)
        return request.accept(wanted, run["seconds"], run["images"])


def _announce_known(known: Known, announce: Callable[[str], None]) -> None:
    if known.count:
        announce(f"{known.count:,} of them are known, {len(known.sha256) - known.count:,} are computed")
