"""From a layer's map to a row of features: averages or maxima over space, over a grid of cells, or the map itself.

Of a sequence of tokens the map is that of the patches; the class token may stand beside its average, or for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fne_cli.errors import BadInput
from fne_cli.networks.tapping.tapped import Tapped
from fne_cli.networks.tapping.tokens import Tokens
from fne_cli.options import meant

VECTOR = 16  # floats in the widest vector register of today's processors


@dataclass(frozen=True)
class Pooling:
    """`avg` or `max` over grid x grid cells of equal share, or `none`: the map as it is.

    Of tokens alone: `mean` over the patches, `cls`, the class token, or `cls+mean`, one behind the other.
    """

    kind: Literal["avg", "max", "none", "cls", "mean", "cls+mean"] = "avg"
    grid: int = 1

    def __str__(self) -> str:
        return self.kind if self.grid == 1 else f"{self.kind}:{self.grid}"

    @classmethod
    def parse(cls, text: str) -> Pooling:
        """From `avg`, `max`, `avg:2`, `max:3`, `none`, `cls`, `mean` or `cls+mean`. Raises BadInput."""
        match = re.fullmatch(r"(avg|max)(?::([1-9][0-9]?))?|(none|cls|mean|cls\+mean)", text)
        if not match:
            raise BadInput(
                "--pool should be avg, max, avg:2, max:3 ... or none; of transformers also cls, mean or cls+mean. "
                f"Found: {text!r}."
            )
        return cls(match[1] or match[3], int(match[2] or 1))  # type: ignore[arg-type]  # the pattern has only these

    @property
    def of_tokens(self) -> bool:
        """Whether it is for tokens alone."""
        return self.kind in ("cls", "mean", "cls+mean")

    @property
    def of_class(self) -> bool:
        """Whether it takes the class token."""
        return self.kind in ("cls", "cls+mean")

    def row_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one row for an output of `shape` (channels last; a dense layer's output is left as it is)."""
        if len(shape) == 1 or self.kind == "none":
            return shape
        parts = 2 if self.kind == "cls+mean" else self.grid ** (len(shape) - 1)
        return (parts * shape[-1],)

    def spans(self, size: int) -> list[tuple[int, int]]:
        """Begin and end of the cells along a side of `size`: cell i of g is floor(i n / g) ... ceil((i + 1) n / g)."""
        return [(i * size // self.grid, math.ceil((i + 1) * size / self.grid)) for i in range(self.grid)]

    def __call__(self, tensor: Any, tokens: Tokens | None = None) -> Any:
        """Apply to a tensor (batch, ..., channels); computed in float32 whatever the network's precision.

        tokens: the tensor is (batch, tokens, channels), and this is where its patches are.
        """
        from keras import ops

        tensor = ops.cast(tensor, "float32")
        if tokens is not None:
            patches = ops.reshape(tensor[:, tokens.patches], (-1, tokens.height, tokens.width, tensor.shape[-1]))
            over = Pooling() if self.of_tokens else self
            parts = [tensor[:, 0]] * self.of_class + [over(patches)] * (self.kind != "cls")
            return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
        if len(tensor.shape) == 2 or self.kind == "none":
            return tensor
        axes = tuple(range(1, len(tensor.shape) - 1))
        channels = tensor.shape[-1]
        # Whole vectors of channels: else the sums of an image depend, in the last bit, on its place in the batch.
        spare = -channels % VECTOR
        if spare:
            tensor = ops.pad(tensor, [[0, 0]] * (len(tensor.shape) - 1) + [[0, spare]])

        def reduced(cell: Any) -> Any:
            values = ops.mean(cell, axis=axes) if self.kind == "avg" else ops.max(cell, axis=axes)
            return values[:, :channels] if spare else values

        if self.grid == 1:
            return reduced(tensor)
        cells = [tensor]
        for axis in axes:  # the cells of a grid cover the map
            spans = self.spans(tensor.shape[axis])
            before = (slice(None),) * axis
            cells = [cell[(*before, slice(*span))] for cell in cells for span in spans]
        return ops.concatenate([reduced(cell) for cell in cells], axis=-1)


def pooling_of(taps: Sequence[Tapped], rules: Sequence[str]) -> list[Pooling]:
    """The pooling of each tap. A rule is a pooling for all layers, or `PATTERN=pooling`; the last that fits counts.

    One of tokens, for all layers, is for those that have tokens; the others keep theirs. Raises BadInput.
    """
    chosen = [Pooling()] * len(taps)
    names = [tap.layer for tap in taps]
    for rule in rules:
        pattern, _, text = rule.rpartition("=")
        fitted = meant(pattern, names) if pattern else set(names)
        fitting = [number for number, name in enumerate(names) if name in fitted]
        if not fitting:
            raise BadInput(f"--pool {rule!r} should name layers that are tapped. None matches {pattern!r}.")
        pooling = Pooling.parse(text)
        able = [number for number in fitting if _can(pooling, taps[number].tokens)]
        if len(able) < len(fitting if pattern else fitting[:1]):
            name = next(names[number] for number in fitting if number not in able)
            what = "a class token" if pooling.of_class else "tokens"
            raise BadInput(f"--pool {rule!r} should be for layers with {what}. Found: {name}, which has none.")
        for number in able:
            chosen[number] = pooling
    return chosen


def _can(pooling: Pooling, tokens: Tokens | None) -> bool:
    """Whether a pooling can be applied to a layer with or without tokens."""
    return not pooling.of_tokens or (tokens is not None and (tokens.has_class or not pooling.of_class))
