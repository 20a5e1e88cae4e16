"""From a layer's map to a row of features: averages or maxima over space, over a grid of cells, or the map itself."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fne_cli.errors import BadInput
from fne_cli.networks.taps import Tap
from fne_cli.options import meant

_VECTOR = 16  # floats in the widest vector register of today's processors


@dataclass(frozen=True)
class Pooling:
    """`avg` or `max` over grid x grid cells of equal share, or `none`: the map as it is."""

    kind: Literal["avg", "max", "none"] = "avg"
    grid: int = 1

    def __str__(self) -> str:
        return self.kind if self.grid == 1 else f"{self.kind}:{self.grid}"

    @classmethod
    def parse(cls, text: str) -> Pooling:
        """From `avg`, `max`, `avg:2`, `max:3` or `none`. Raises BadInput."""
        match = re.fullmatch(r"(avg|max)(?::([1-9][0-9]?))?|(none)", text)
        if not match:
            raise BadInput(f"--pool should be avg, max, avg:2, max:3 ... or none. Found: {text!r}.")
        return cls(match[1] or match[3], int(match[2] or 1))  # type: ignore[arg-type]  # the pattern has only these

    def row_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one row for an output of `shape` (channels last; a dense layer's output is left as it is)."""
        if len(shape) == 1 or self.kind == "none":
            return shape
        return (self.grid ** (len(shape) - 1) * shape[-1],)

    def __call__(self, tensor: Any) -> Any:
        """Apply to a tensor (batch, ..., channels); computed in float32 whatever the network's precision."""
        from keras import ops

        tensor = ops.cast(tensor, "float32")
        if len(tensor.shape) == 2 or self.kind == "none":
            return tensor
        axes = tuple(range(1, len(tensor.shape) - 1))
        channels = tensor.shape[-1]
        # Whole vectors of channels: else the sums of an image depend, in the last bit, on its place in the batch.
        spare = -channels % _VECTOR
        if spare:
            tensor = ops.pad(tensor, [[0, 0]] * (len(tensor.shape) - 1) + [[0, spare]])

        def reduced(cell: Any) -> Any:
            values = ops.mean(cell, axis=axes) if self.kind == "avg" else ops.max(cell, axis=axes)
            return values[:, :channels] if spare else values

        if self.grid == 1:
            return reduced(tensor)
        cells = [tensor]
        for axis in axes:  # the cells of a grid cover the map: cell i of g is floor(i n / g) ... ceil((i + 1) n / g)
            size = tensor.shape[axis]
            spans = [(i * size // self.grid, math.ceil((i + 1) * size / self.grid)) for i in range(self.grid)]
            before = (slice(None),) * axis
            cells = [cell[(*before, slice(*span))] for cell in cells for span in spans]
        return ops.concatenate([reduced(cell) for cell in cells], axis=-1)


def pooling_of(taps: Sequence[Tap], rules: Sequence[str]) -> list[Pooling]:
    """The pooling of each tap. A rule is a pooling for all layers, or `PATTERN=pooling`; the last that fits counts."""
    chosen = [Pooling()] * len(taps)
    for rule in rules:
        pattern, _, text = rule.rpartition("=")
        names = [tap.layer for tap in taps]
        fitted = meant(pattern, names) if pattern else set(names)
        fitting = [number for number, name in enumerate(names) if name in fitted]
        if not fitting:
            raise BadInput(f"--pool {rule!r} should name layers that are tapped. None matches {pattern!r}.")
        for number in fitting:
            chosen[number] = Pooling.parse(text)
    return chosen
