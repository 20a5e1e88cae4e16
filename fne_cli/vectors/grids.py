"""The cells of a layer of a file, by what it says of itself."""

from __future__ import annotations

from fne_cli.errors import WrongFile
from fne_cli.numerics.localization.grids import Grid, grid_of
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader


def grid_in(source: Reader, layer: LayerReader, dense: bool = True) -> Grid:
    """The grid of a layer. dense: whether a layer without a map will do, as one cell. Raises WrongFile."""
    texts = [layer.attrs.get(name, "") for name in ("pooling", "output_shape")]
    pooling, shape = (text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in texts)
    grid = grid_of(pooling, shape, layer.features)
    if grid is None or (grid.cells == 1 and not dense):
        found = f"{shape or 'a map of unknown size'}, pooled by {pooling or 'nothing known'}"
        raise WrongFile(
            f"{source.path}: the layer {layer.name} should be cells of a map. Found: {found}.\n"
            "Choose other layers, or extract with --pool avg:7, or none."
        )
    return grid


def check_single(source: Reader) -> None:
    """Raises WrongFile for a file with several crops of an image, whose cells are not those of the image."""
    if int(source.settings["crops"]) != 1:
        raise WrongFile(
            f"{source.path} should have one row per image. Found: {source.settings['crops']} crops.\n"
            "Extract with --crops 1."
        )
