"""codes or activations -> how well a classifier does on them: one embedding or each layer, by several protocols."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput, DamagedFile, FneError, WrongOptions
from fne_cli.machine import free_memory, processors
from fne_cli.numerics.classifiers import spelled as spelled_classifier
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.numerics.embedding import embedding, spelled
from fne_cli.numerics.recipes.candidates import CANDIDATES
from fne_cli.numerics.svm.problem import SolverOptions
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.evaluate.classifiers.estimates import beside
from fne_cli.steps.evaluate.described import origin_of, settings_of, split_fingerprint
from fne_cli.steps.evaluate.fits import KINDS, Fits, MeasuredFit
from fne_cli.steps.evaluate.notes import doubt, span
from fne_cli.steps.evaluate.options import ClassifierOptions, FeatureOptions, FitPlan
from fne_cli.steps.evaluate.outputs import Outputs
from fne_cli.steps.evaluate.projected import check_learned, projected
from fne_cli.store.format.text import parse_json
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.store.many.pooled import AVERAGE
from fne_cli.store.many.thresholds import Thresholds
from fne_cli.store.other.results import VERSION, read_results
from fne_cli.store.output.record import new_run, software, time_run
from fne_cli.store.output.sealed import without_digest
from fne_cli.store.output.up_to_date import up_to_date
from fne_cli.tasks.engine import Cluster
from fne_cli.tasks.output import parts_of
from fne_cli.tasks.parts import Parts
from fne_cli.trials.protocol import Protocol
from fne_cli.trials.summary import entries_of

__all__ = ["ClassifierOptions", "Evaluation", "FeatureOptions", "Protocol", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """The results as `--json` prints them, the file they are in (if any), and whether they were computed now."""

    results: dict[str, Any]
    path: Path | None
    up_to_date: bool = False


def evaluate(
    features: Path | Sequence[Path],
    results: Path | None = None,
    chosen: FeatureOptions = FeatureOptions(),  # noqa: B008  # frozen
    protocol: Protocol = Protocol(),  # noqa: B008  # frozen
    classifier: ClassifierOptions = ClassifierOptions(),  # noqa: B008  # frozen
    *,
    predictions: Path | None = None,
    model: Path | None = None,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Train on the training images, measure on the test images, by `protocol`; the numbers are fractions.

    The options are those of `fne evaluate`; docs/cli.md describes them. Several files are read as one, in the order
    that JoinedFiles says: the shards of an extraction count as the whole. A codes file is one embedding. An activations
    file becomes one (`chosen.embedding`), fitted to the training images of each trial; without, it is the single-layer
    baseline: each layer alone, every row scaled to length 1. With a `cluster` every fit is a worker's, the memory of
    `classifier` of each of them, and RESULTS must be given. Raises the errors of fne_cli.errors: DoesNotFit before
    anything is computed.
    """
    if cluster is not None and results is None:
        raise WrongOptions("--cluster keeps what is finished beside the file RESULTS. Found: none. Give it, too.")
    if chosen.embedding is not None:
        chosen = replace(chosen, embedding=spelled(chosen.embedding))
    classifier.check()
    with JoinedFiles(features, *KINDS) as source:
        layers = source.select(chosen.layers)
        chosen, projection = projected(source, chosen, classifier)
        if projection is not None:
            layers = list(projection.layers)
        if classifier.recipe is not None:
            chosen, classifier = _by_recipe(source, chosen, classifier)
        classifier = replace(classifier, classifier=spelled_classifier(classifier.classifier))
        _check(source, chosen, len(layers), protocol, model)
        settings, cuts = settings_of(source, layers, chosen, protocol, classifier, projection)
        origin = origin_of(source, settings, cuts, chosen, protocol, projection)
        outputs = Outputs(results, predictions, model, origin)
        # First the results, which can say what differs.
        known = results is not None and up_to_date(results, origin, overwrite, progress)
        if outputs.finished(overwrite, SILENT if results is not None else progress) and known and results is not None:
            return Evaluation(_read_back(results), results, up_to_date=True)
        beside = split_fingerprint(protocol) | ({} if projection is None else projection.fingerprints)
        given = _parts(results, [outputs.fingerprint, classifier.memory, outputs.detailed], source, beside, cluster)
        machine = _machine(classifier, cluster)
        if isinstance(given, Parts):
            machine = given.agreed(machine)  # the path of the solver, and with it every part, depends on them
        solver = SolverOptions(
            classifier.solver, classifier.tolerance, machine["memory"], classifier.seed, machine["processors"]
        )
        fits = Fits(
            source,
            FitPlan(
                layers,
                chosen.embedding,
                chosen.each_layer,
                (cuts.low, cuts.high),
                protocol,
                classifier,
                solver,
                chosen.pool,
                chosen.projection,
            ),
            progress,
        )
        if projection is not None:
            check_learned(projection, source, fits.task, progress)
        if absent := source.absent:
            progress.note(absent)
        _warn_of_moments(source, protocol, cuts, progress)
        if any(len(trial.validation) for trial in fits.task.trials):
            _warn_of_validation(classifier, progress)
        _announce(fits, progress)
        if said := fits.shortened:
            progress.note(said)
        versions = software("scikit-learn", "scipy", "numba")
        began, run = time.monotonic(), new_run(versions)
        with outputs, given as parts:
            if parts is not None:
                parts.agree(machine)
            table = _table(fits, fits.results(parts, outputs.detailed, progress), outputs, run, progress)
            document = {
                "format": "fne",
                "version": VERSION,
                "kind": "results",
                "fingerprint": outputs.fingerprint,
                "settings": settings,
                "sources": list(origin.sources),
                "software": versions,
                "images": fits.task.description | ({"missing_shards": absent} if absent else {}),
                "made_from": source.settings,
                **(
                    {} if fits.task.several else {"tested": fits.measured.task.tested(fits.measured.source).described()}
                ),
                "results": table,
            }
            outputs.write_predictions(fits.measured.task, fits.measured.source.images.path)
            outputs.write_model(source, fits, table[0])
            time_run(run, time.monotonic() - began)
            outputs.finish(document, run)
    return Evaluation(document, results)


def _machine(classifier: ClassifierOptions, cluster: Cluster | None) -> dict[str, int]:
    """Bytes for every process, and the processors, by which all processes choose the solver's path."""
    sharing = 1 if cluster is None else cluster.local_workers
    memory = free_memory() // 2 // sharing if classifier.memory is None else classifier.memory
    return {"memory": memory, "processors": processors()}


def _table(
    fits: Fits, measured: Iterator[MeasuredFit], outputs: Outputs, run: dict[str, Any], progress: Progress
) -> list[dict[str, Any]]:
    """The entries of the results; the time of every fit goes to the record of the run."""
    table: list[dict[str, Any]] = []
    run["results"] = []
    for place, of_embedding in groupby(measured, key=lambda fit: fit.embedding):
        name, found = fits.embeddings[place][0], []
        for fit in of_embedding:
            outcome = fit.outcome
            outputs.keep(name, outcome.trial, fit.detail)
            took = {"seconds": round(outcome.seconds, 3)}
            run["results"].append({"name": name, **dict(outcome.trial.group), **dict(outcome.trial.of), **took})
            doubt(outcome, fits.plan, progress)
            found.append(outcome)
        table += entries_of(name, found, fits.measured.task)
        progress.detail(f"{name}: {found[-1].figures['path']}, {sum(outcome.seconds for outcome in found):.1f} s")
    return table


def _by_recipe(
    source: JoinedFiles, chosen: FeatureOptions, classifier: ClassifierOptions
) -> tuple[FeatureOptions, ClassifierOptions]:
    """What a recipe stands for. Raises WrongOptions for what does not go with it, BadInput for codes to choose from."""
    if chosen.embedding is not None or chosen.thresholds != (LOW, HIGH):
        raise WrongOptions("--recipe says which embedding there is. Leave it out, or --embedding and --thresholds.")
    if classifier.recipe == "published":
        whole = replace(chosen, embedding="fne") if source.kind == "activations" else chosen
        return whole, replace(classifier, recipe=None)
    if source.kind == "codes":
        raise BadInput(
            f"{source.name} should be an activations file for --recipe auto, which chooses an embedding. Found: codes, "
            "which are one.\nGive the activations."
        )
    if chosen.each_layer:
        raise WrongOptions("--recipe auto is for all layers together. Leave --each-layer out; without --embedding and "
                           "--recipe each layer is measured alone.")  # fmt: skip
    return replace(chosen, embedding=CANDIDATES[0]), classifier


def _check(source: JoinedFiles, chosen: FeatureOptions, layers: int, protocol: Protocol, model: Path | None) -> None:
    """Raises WrongOptions for those that do not go together."""
    kind = None if chosen.embedding is None else embedding(chosen.embedding)
    changed = chosen.thresholds != (LOW, HIGH)
    if changed and (source.kind == "codes" or kind is None or not kind.takes_thresholds):
        raise WrongOptions("--thresholds goes with --embedding fne. Codes have theirs, and other embeddings need none.")
    if source.kind == "codes" and chosen.embedding is not None:
        raise BadInput(
            f"{source.name} should be an activations file for --embedding {chosen.embedding}. Found: codes, which are "
            "one.\nLeave --embedding out, or give the activations."
        )
    if chosen.pool is not None and (chosen.pool != AVERAGE or source.kind == "codes"):
        raise WrongOptions(f"--pool {chosen.pool} should be avg, of activations. Extract them with another --pool.")
    protocol.check()
    if model is not None and (protocol.cv is not None or protocol.per_class):
        raise WrongOptions(
            "--save-classifier saves the classifier of one training. Found: several (--cv or --per-class)."
        )
    if model is not None and (chosen.each_layer or (source.kind == "activations" and kind is None and layers > 1)):
        raise WrongOptions(
            "--save-classifier saves one classifier. Found: one a layer. Give --embedding, or --layers NAME."
        )


def _read_back(results: Path) -> dict[str, Any]:
    """What an earlier run has written. Raises DamagedFile if it has been changed to what no run writes."""
    try:
        read_results(results)
        document: dict[str, Any] = without_digest(parse_json(results.read_bytes()))
    except FneError as error:
        raise DamagedFile(f"{error}\nRemove {results}, and run again.") from error
    return document


def _parts(
    results: Path | None,
    made_of: list[Any],
    source: JoinedFiles,
    beside: Mapping[Path, str],
    cluster: Cluster | None,
) -> AbstractContextManager[Parts | None, bool | None]:
    if results is None:
        return nullcontext()
    return parts_of(results, made_of, {**source.fingerprints, **beside}, cluster)


def _warn_of_moments(source: JoinedFiles, protocol: Protocol, cuts: Thresholds, progress: Progress) -> None:
    """Codes carry the moments of the rows they were standardised by, thresholds those of theirs; folds have others."""
    if cuts.rows is not None and (protocol.cv is not None or protocol.split is not None or cuts.rows == "all"):
        progress.note(f"the thresholds come from the rows {cuts.rows!r}, images that are measured here among them")
    rows = source.settings.get("moments_rows", "unknown")
    if source.kind == "codes" and (protocol.cv is not None or protocol.split is not None or rows == "all"):
        progress.note(
            f"the codes were made with the moments of the rows {str(rows)!r}, images that are measured here among "
            "them; fne evaluate ACTIVATIONS --embedding fne computes them from training images only"
        )


def _warn_of_validation(classifier: ClassifierOptions, progress: Progress) -> None:
    """Say that validation images are not used, where somebody may think that they are."""
    if classifier.recipe == "auto":
        progress.note("validation images are not used: the recipe is chosen by training images that are left out")
    elif classifier.kind == "ridge":
        progress.note("validation images are not used: the penalty is chosen by training images that are left out")


def _announce(fits: Fits, progress: Progress) -> None:
    """Say what is measured, and what the largest embedding will take. Raises DoesNotFit if that exceeds the memory."""
    if fits.measured.whose is not None:
        regions, images = (task.tested_images for task in (fits.task, fits.measured.task))
        progress.note(f"{regions:,} regions are measured as {images:,} test images, by the {fits.measured.how}")
    (name, largest), wanted, memory = fits.largest, fits.estimate(), fits.plan.solver.memory
    path, seconds = ("liblinear", "") if wanted is None else (wanted.path, f", about {span(wanted.seconds())}")
    count, times = fits.load()
    if wanted is not None and count > 1:
        more = count * beside(len(fits.task.images) * fits.task.crops, largest.count)
        seconds = f", about {span(times * wanted.seconds() + more)} for {count:,} fits"
    progress.note(
        f"{name}: {fits.rows:,} training rows, {largest.count:,} features, {len(fits.task.classes):,} classes; {path}, "
        f"about {fits.bytes / 2**30:.2f} of {memory / 2**30:.1f} GiB{seconds}"
    )
