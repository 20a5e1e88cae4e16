"""What each cell of a grid says for a class: a decision value of a linear classifier, taken apart exactly.

Of features that were averaged over maps, `d = b + sum over cells of w . z(cell) / cells` holds because z-scores, and
all that multiplies or projects them, are affine. Of features that are cells themselves it holds for every embedding
that treats each feature by itself. (B. Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR
2016, draw the same of the last layer of a network.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import Embedding
from fne_cli.numerics.embedding.pieces import Composed, spans_of
from fne_cli.numerics.embedding.pieces.kinds import Piece, Stage
from fne_cli.numerics.embedding.pieces.text import parsed
from fne_cli.numerics.localization.grids import Grid, finest, spread

_AFFINE = {"z", "equal", "aligned", "depth", "length", "pca", "whiten", "within", "lda"}
_PIECES = {"standardized": "z", "raw": "", "l2": "length"}
"""Embeddings that are code of their own, as pieces, where these are affine but for the length of a row."""


@dataclass(frozen=True)
class Evidence:
    """Of one image and class: decision = intercept + without_place + map.sum(), but for rounding.

    map: (rows, columns) float64, of the finest grid; coarser layers are spread over it by area. without_place: of the
    layers that are one cell, as dense layers are.
    """

    map: np.ndarray
    without_place: float
    intercept: float

    @property
    def decision(self) -> float:
        """The decision value."""
        return self.intercept + self.without_place + float(self.map.sum())


@dataclass(frozen=True)
class Cells:
    """Takes decision values of a linear classifier apart.

    weights: (classes, columns), intercepts: (classes,), of rows encoded by `fitted` (None: of the rows as they are).
    grids: of the layers, side by side. averaged: whether the classifier knows the averages over the cells, and not the
    cells. Raises BadInput if what `fitted` does cannot be taken apart; name: of it, for the message.
    """

    weights: np.ndarray
    intercepts: np.ndarray
    fitted: Embedding | None
    grids: Sequence[Grid]
    averaged: bool
    name: str = ""

    def __post_init__(self) -> None:
        if not any(grid.cells > 1 for grid in self.grids):
            raise BadInput("There should be a layer of several cells. Found: none. Extract with --pool avg:7, or none.")
        pieces = self._pieces
        behind = {piece.name for piece in pieces or () if piece.stage is Stage.REDUCED}
        affine = pieces is not None and _AFFINE.issuperset(piece.name for piece in pieces)
        if self.averaged and not affine:
            raise BadInput(
                "The evidence of cells should add up to the decision value. Of averages over cells it does for "
                f"z-scores, raw and l2, layers that are weighed, pca and length. Found: --embedding {self.name}.\n"
                "Train on the cells themselves, without --pool avg, or with --embedding standardized."
            )
        if behind - {"length"}:
            raise BadInput(
                "The evidence of cells should add up to the decision value, which it does behind pca for length alone. "
                f"Found: --embedding {self.name}."
            )

    @property
    def _pieces(self) -> tuple[Piece, ...] | None:
        """The pieces of the embedding, if it is made of those that are known here."""
        if isinstance(self.fitted, Composed):
            return self.fitted.pieces
        if self.fitted is None or self.name not in _PIECES:
            return None
        return parsed(_PIECES[self.name]) if _PIECES[self.name] else ()

    @property
    def _reduced(self) -> bool:
        return isinstance(self.fitted, Composed) and bool(self.fitted.reduction)

    @property
    def _widths(self) -> list[int]:
        return [grid.channels if self.averaged else grid.features for grid in self.grids]

    def of(self, row: np.ndarray, number: int) -> Evidence:
        """The evidence for class `number` in an image's row, (features,) of all layers side by side."""
        parts, factor = self._of_averages(row) if self.averaged else self._of_cells(row)
        weights = self._weights(number) * factor
        rows, columns = finest(self.grids)
        found, without = np.zeros((rows, columns)), 0.0
        for grid, span, values in zip(self.grids, spans_of(self._widths), parts, strict=True):
            own = weights[span] if self.averaged else grid.cell_by_cell(weights[span])
            cells = (values * own).sum(axis=1)
            if grid.cells == 1:
                without += float(cells[0])
            else:
                found += spread(cells.reshape(grid.rows, grid.columns), rows, columns)
        return Evidence(found, without, float(self.intercepts[number]))

    def _weights(self, number: int) -> np.ndarray:
        """Of a class, for each feature before a reduction."""
        weights = self.weights[number]
        if not self._reduced:
            return weights
        fitted = self.fitted
        assert isinstance(fitted, Composed)
        return (weights / fitted.deviations if "deviations" in fitted.arrays else weights) @ fitted.axes

    def _of_cells(self, row: np.ndarray) -> tuple[list[np.ndarray], float]:
        """Of a classifier of cells: what each has in each layer, (cells, channels); and what all is multiplied by."""
        factor = 1.0
        if self._reduced and isinstance(self.fitted, Composed):
            values = self.fitted.unreduced(row[None])[0].astype(np.float64) - self.fitted.centre
            factor = self._behind(values)
        else:
            values = (row if self.fitted is None else self.fitted.encode(row[None])[0]).astype(np.float64)
        spans = spans_of(self._widths)
        return [grid.cell_by_cell(values[span]) for grid, span in zip(self.grids, spans, strict=True)], factor

    def _of_averages(self, row: np.ndarray) -> tuple[list[np.ndarray], float]:
        """The same of a classifier of averages: the part that each cell has in the average, in the embedding."""
        scale, shift = self._affine
        spans, parts, start = spans_of(self._widths), [], 0
        for grid, span in zip(self.grids, spans, strict=True):
            cells = grid.cell_by_cell(row[start : start + grid.features]).astype(np.float64)
            start += grid.features
            parts.append((cells - shift[span]) * scale[span] / grid.cells)
        whole, factor = np.concatenate([part.sum(axis=0) for part in parts]), 1.0
        if any(piece.name == "length" and piece.stage is Stage.ROWS for piece in self._pieces or ()):
            factor = 1 / _length(whole)
        if self._reduced and isinstance(self.fitted, Composed):
            centre = self.fitted.centre / factor
            parts = [part - centre[span] / len(part) for part, span in zip(parts, spans, strict=True)]
            factor *= self._behind((whole - centre) * factor)
        return parts, factor

    def _behind(self, values: np.ndarray) -> float:
        """What the columns behind a reduction are multiplied by: 1 / their length, or 1."""
        fitted = self.fitted
        assert isinstance(fitted, Composed)
        if not any(piece.stage is Stage.REDUCED for piece in fitted.pieces):
            return 1.0
        found = fitted.axes @ values
        return 1 / _length(found / fitted.deviations if "deviations" in fitted.arrays else found)

    @cached_property
    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift (features,): what the embedding makes of x before a reduction is (x - shift) * scale."""
        features = sum(self._widths)
        scale, shift = np.ones(features), np.zeros(features)
        state = {} if self.fitted is None else self.fitted.state()
        if "mean" in state:
            std = state["std"]
            scale, shift = np.where(std > 0, 1 / np.where(std > 0, std, 1.0), 0.0), state["mean"]
        return scale * state["scale"] if "scale" in state else scale, shift


def _length(values: np.ndarray) -> float:
    """Of a vector; 1 for one of zeros, which stays as it is."""
    return float(np.linalg.norm(values)) or 1.0
