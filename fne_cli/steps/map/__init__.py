"""a saved classifier + activations of a grid + images -> which parts of an image speak for a class."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.images.lists.annotated.annotations import Objects, read_annotations
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.map.located import Located
from fne_cli.steps.map.outputs import Mapped, Outputs
from fne_cli.steps.map.pictures import Pictures
from fne_cli.steps.map.work import Options, Work
from fne_cli.store.format.reader import Reader, open_file
from fne_cli.store.format.text import canonical_json
from fne_cli.unprintable import plain
from fne_cli.vectors.classified import SavedClassifier

__all__ = ["Mapped", "map"]


def map(  # noqa: A001  # the name of the command
    model: Path,
    activations: Path,
    folder: Path,
    *,
    images: str | None = None,
    root: str | None = None,
    rows: str | None = None,
    class_name: str | None = None,
    only: Sequence[str] = (),
    per_class: int = 1,
    wrong: int = 8,
    boxes: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Mapped:
    """Draw the evidence of every cell for the class of an image, and write it as numbers.

    images, root: where the images are (folder, manifest, .tar); without them maps stand alone, and have no pixels.
    rows: a split, or all (default: test, or all without splits). class_name: for this class only; else for what is said
    of an image and, if that is another, what is true. only: paths or globs of the images that are drawn; else per_class
    of each class that are right, and of those that are not the `wrong` furthest off. boxes: annotations, to measure
    whether maps point at objects. Raises the errors of fne_cli.errors.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise BadInput("fne map needs matplotlib, which is not installed. pip install 'fne-cli[report]'")
    if boxes is not None and images is None:
        raise BadInput("--boxes are in pixels of the images. Give --images, too, to say where these are.")
    saved = SavedClassifier.of(model)
    with open_file(activations, saved.takes) as source:
        located = Located.of(saved, source)
        if class_name is not None and class_name not in saved.classes:
            shown = ", ".join(saved.classes[:5])
            raise BadInput(f"--class should be a class of {model}, such as {shown}. Found: {plain(class_name)}.")
        rows = rows or ("test" if "test" in source.images.splits else "all")
        _, chosen = source.images.chosen(rows)
        options = Options(rows, class_name, tuple(only), per_class, wrong)
        objects, digest = _objects(boxes, source, chosen)
        outputs = Outputs.of(folder, options, saved, source, digest, {
            "classifier": (model,), "activations": (activations,), "boxes": (Path(boxes),) if boxes else (),
        })  # fmt: skip
        if outputs.are_there(overwrite, progress):
            return Mapped(folder, up_to_date=True)
        work = Work(source, located, options, np.flatnonzero(chosen), objects, Pictures(source, images, root))
        with outputs:
            return outputs.write(work, progress)


def _objects(
    boxes: str | None, source: Reader, chosen: np.ndarray
) -> tuple[dict[int, Objects] | None, dict[str, str] | None]:
    """The annotated objects by the number of their image, and a source that has their digest; None without boxes."""
    if boxes is None:
        return None, None
    annotations = read_annotations(boxes)
    ids, numbers = [], np.flatnonzero(chosen).tolist()
    ids = [source.images.path[number] for number in numbers]
    known = {n: one for n, one in zip(numbers, annotations.of(ids), strict=True) if one is not None}
    content = {str(number): asdict(one) for number, one in known.items()}
    return known, {"kind": "boxes", "fingerprint": hashlib.sha256(canonical_json(content).encode()).hexdigest()}
