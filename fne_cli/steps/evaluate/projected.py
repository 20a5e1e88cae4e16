"""An evaluation by an embedding that is fitted already, and what that says of images that are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.numerics.codes import HIGH, LOW
from fne_cli.progress import Progress
from fne_cli.steps.evaluate.options import ClassifierOptions, FeatureOptions
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.trials.classification import ClassificationTask
from fne_cli.vectors.projections import Projection, read_projection


def projected(
    source: JoinedFiles, chosen: FeatureOptions, classifier: ClassifierOptions
) -> tuple[FeatureOptions, Projection | None]:
    """The options with embedding, layers and pooling of the projection, if they name one.

    Raises WrongOptions for what does not go with it, BadInput or WrongFile for files that do not.
    """
    if chosen.projection is None:
        return chosen, None
    if classifier.recipe is not None:
        raise WrongOptions("--recipe says which embedding there is. Leave it out, or --projection.")
    given = {
        "--embedding": chosen.embedding is not None,
        "--layers": bool(chosen.layers),
        "--pool": chosen.pool is not None,
        "--thresholds": chosen.thresholds != (LOW, HIGH),
        "--each-layer": chosen.each_layer,
    }
    if any(given.values()):
        options = ", ".join(option for option, there in given.items() if there)
        raise WrongOptions(f"--projection says layers, embedding and pooling. Leave it out, or {options}.")
    if source.kind != "activations":
        raise BadInput(
            f"{source.name} should be an activations file for --projection {chosen.projection}. Found: {source.kind}.\n"
            "Give the activations, or leave --projection out."
        )
    projection = read_projection(chosen.projection)
    layers = projection.layers_of(source)
    names = tuple(layer.name for layer in layers)
    return replace(chosen, embedding=projection.embedding, layers=names, pool=projection.pool), projection


def check_learned(projection: Projection, source: JoinedFiles, task: ClassificationTask, progress: Progress) -> None:
    """Say how many images are measured that the projection was learned on; with their labels that is refused."""
    measured = np.unique(np.concatenate([trial.test for trial in task.trials]))
    count = int(projection.learned_on(source)[measured].sum())
    if not count:
        return
    told = f"{count:,} of the {len(measured):,} images that are measured"
    if projection.sees_labels:
        raise BadInput(
            f"{projection.path} should be learned on images other than those that are measured, as it looks at labels. "
            f"Found: {told}, among its rows {projection.rows!r}.\n"
            f"Give --embedding {projection.embedding}, which is learned anew on the training images of each split or "
            "fold."
        )
    progress.note(
        f"{told} are among those that the projection was learned on: it looks better than it is. --embedding "
        f"{projection.embedding} is learned anew on the training images of each split or fold"
    )
