"""behavior -> the strongest pairs of features and classes; codes -> prototypes; grids -> maps of a feature."""

from __future__ import annotations

from pathlib import Path

from fne_cli.errors import BadInput, WrongFile, WrongOptions
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.features.maps import FeatureMap, FeatureMaps, MapOptions, feature_maps
from fne_cli.steps.features.pairs import Exciting, Pair, Pairs, exciting_images, known, strongest_pairs
from fne_cli.steps.features.prototypes import LayerPart, Prototype, Prototypes, find_prototypes
from fne_cli.store.format.reader import Reader, open_file

__all__ = [
    "Exciting", "FeatureMap", "FeatureMaps", "LayerPart", "Pair", "Pairs", "Prototype", "Prototypes", "features",
]  # fmt: skip

IMAGES = 5  # of each feature, where several features are shown


def features(
    file: Path,
    *,
    class_name: str | None = None,
    layer: str | None = None,
    feature: str | None = None,
    top: int = 10,
    activations: Path | None = None,
    rows: str | None = None,
    share: float = 0.5,
    distances: bool = False,
    maps: Path | None = None,
    images: str | None = None,
    root: str | None = None,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Pairs | Prototypes | FeatureMaps:
    """What a behavior file or a codes file says of features; or the maps of one, of activations of a grid.

    A behavior file: the `top` pairs by presence and by absence, of a class, of a layer (name or glob) or of one feature
    (LAYER:NUMBER); with `activations`, the images of that file which excite these features most. A codes file: for each
    class the features that are +1, or -1, in more than `share` (0.5 or more) of its `rows` (train by default, all if
    there are no splits); with `distances`, the share of features in which the prototypes of two classes differ.

    Activations of a grid, with `maps`, a folder: what the feature (LAYER:NUMBER) is in every cell of the `top` images
    of its `rows`, or of a class there, that have the largest values; drawn over them if `images` and `root` say where
    they are, as fne extract takes them.
    """
    if maps is not None:
        if feature is None:
            raise WrongOptions("--maps draws one feature. Give --feature LAYER:NUMBER.")
        if activations is not None or layer is not None or distances:
            raise WrongOptions(
                "--maps takes the activations as FILE. Leave --activations, --layer and --distances out."
            )
        options = MapOptions(feature, rows or "all", class_name, top)
        return feature_maps(file, maps, options, images, root, overwrite, progress)
    if images is not None or root is not None or overwrite:
        raise WrongOptions("--images, --root and --overwrite go with --maps FOLDER. Give it, or leave them out.")
    with open_file(file, "behavior", "codes", "activations") as source:
        if source.kind == "activations":
            raise WrongFile(
                f"{file} should be an fne behavior or codes file. Found: kind=activations. Run fne analyze first; or "
                "draw what a feature is in the cells of a grid: --feature LAYER:NUMBER --maps FOLDER"
            )
        if source.kind == "codes":
            _refuse(source, {"--layer": layer, "--feature": feature, "--activations": activations})
            if not 0.5 <= share < 1:
                raise BadInput(f"--share should be 0.5 or more, and less than 1. Found: {share:g}.")
            only = None if class_name is None else known(file, source.images.classes, class_name)
            return find_prototypes(source, rows, share, only, distances, progress)
        _refuse(source, {"--rows": rows, "--distances": distances or None})
        if layer is not None and feature is not None:
            raise BadInput("--feature names its layer. Leave --layer out.")
        found = strongest_pairs(source, class_name, layer, feature, top)
        if activations is None:
            return found
        shown: dict[str, list[int]] = {}
        for pair in (*found.presence, *found.absence):
            own = shown.setdefault(pair.layer, [])
            if pair.feature not in own:
                own.append(pair.feature)
        count = top if feature is not None else min(top, IMAGES)
        return Pairs(found.presence, found.absence, exciting_images(source, activations, shown, count))


def _refuse(source: Reader, given: dict[str, object]) -> None:
    """Raises BadInput for an option that is for the other kind of file."""
    for name, value in given.items():
        if value is not None:
            other = "behavior" if source.kind == "codes" else "codes"
            raise BadInput(f"{name} is for a {other} file. Found: {source.path}, kind={source.kind}.")
