"""A linear classifier and the grid of a file: decision values, and which cells they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from fne_cli.errors import BadInput, WrongFile
from fne_cli.numerics.localization.evidence import Cells, Evidence
from fne_cli.numerics.localization.grids import Grid
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import comparable, differences
from fne_cli.store.many.gather import gathered
from fne_cli.vectors.classified import SavedClassifier
from fne_cli.vectors.grids import check_single, grid_in

_OF_AVERAGES = ("layers", "dtype", "box_context")
"""Settings in which the file of a classifier of averages may differ from one of their cells."""


@dataclass(frozen=True)
class Located:
    """cells: what takes decision values apart. layers: of the file, in the classifier's order."""

    classifier: SavedClassifier
    layers: Sequence[LayerReader]
    cells: Cells

    @classmethod
    def of(cls, classifier: SavedClassifier, source: Reader) -> Self:
        """Raises BadInput for a classifier that has no weights; WrongFile for a file of other features, or no grid."""
        head = classifier.head
        if "weights" not in classifier.arrays:
            raise BadInput(
                f"{classifier.path} should be a linear classifier, which has weights. Found: {head['classifier']}.\n"
                "Train another: fne evaluate --classifier svm --save-classifier FILE"
            )
        check_single(source)
        layers = classifier.named(source)
        grids = [grid_in(source, layer) for layer in layers]
        averaged = [layer.features for layer in layers] != head["layer_features"]
        if averaged:
            _check_averages(classifier, source, layers, grids)
        else:
            classifier.layers_of(source)
        try:
            cells = Cells(
                classifier.arrays["weights"],
                classifier.arrays["intercepts"],
                classifier.fitted,
                grids,
                averaged,
                head["embedding"],
            )
        except BadInput as error:
            raise BadInput(error.problem, file=source.path) from error
        return cls(classifier, layers, cells)

    def decisions(self, rows: np.ndarray) -> np.ndarray:
        """Decision values (n, classes) of rows (n, features) as they stand in the file."""
        if self.cells.averaged:
            parts, start = [], 0
            for grid in self.cells.grids:
                own = rows[:, start : start + grid.features].reshape(len(rows), grid.cells, grid.channels)
                parts.append(own.mean(axis=1, dtype=np.float64))
                start += grid.features
            rows = np.concatenate(parts, axis=1).astype(np.float32)
        fitted = self.classifier.fitted
        return self.classifier.model.decisions(rows if fitted is None else fitted.encode(rows))

    def row(self, number: int) -> np.ndarray:
        """Of one image, (features,)."""
        ((_, rows),) = gathered(self.layers, 1, np.array([number]))
        return rows[0]

    def evidence(self, row: np.ndarray, class_number: int) -> Evidence:
        """What its cells say for a class."""
        return self.cells.of(row, class_number)


def _check_averages(
    classifier: SavedClassifier, source: Reader, layers: Sequence[LayerReader], grids: Sequence[Grid]
) -> None:
    """Raises WrongFile unless the classifier was trained on the averages over these cells."""
    made_from = classifier.head["made_from"]
    known = made_from.get("layers")
    pooled = known if isinstance(known, dict) else {}
    for layer, grid, features in zip(layers, grids, classifier.head["layer_features"], strict=True):
        dense = grid.cells == 1
        if grid.channels != features or not (grid.alike and (dense or pooled.get(layer.name) == "avg")):
            raise WrongFile(
                f"{source.path}: the layer {layer.name} should have the features that {classifier.path} was trained "
                f"on, or cells of one size of which these are the averages. Found: {grid.rows} x {grid.columns} cells "
                f"({grid.kind}) of {grid.channels} features{'' if grid.alike else ', not of one size'}; {features} "
                f"features there, pooled by {pooled.get(layer.name, 'nothing known')}.\n"
                "Train on this file, or on --pool avg of it: fne evaluate --pool avg --save-classifier FILE"
            )
    mine, theirs = (
        {name: value for name, value in comparable(dict(settings)).items() if name not in _OF_AVERAGES}
        for settings in (source.settings, made_from)
    )
    if apart := differences(theirs, mine, ("here", "there")):
        raise WrongFile(
            f"{source.path} should have features made like those that {classifier.path} was trained on. Found:\n  "
            + "\n  ".join(apart)
        )
