"""From a batch of pixels to the pooled activations of every tapped tensor, by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fne_cli.machine import free_memory
from fne_cli.networks.batching import Batching
from fne_cli.networks.graph import Input
from fne_cli.networks.onnx.graph import Graph
from fne_cli.networks.onnx.program import Program
from fne_cli.networks.onnx.session import on_gpu, session
from fne_cli.networks.onnx.taps import OnnxTap
from fne_cli.networks.pooling import Pooling
from fne_cli.networks.preprocessing import grey

_TRIED = 0  # the seed of the noise that is tried


class OnnxExtractor(Batching):
    """Calls the network; batches that do not fit are halved as those of Keras networks are."""

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[OnnxTap],
        poolings: Sequence[Pooling],
        preprocess: str,
        takes: Input,
        size: tuple[int, int],
        rows: int,
        note: Callable[[str], None],
    ) -> None:
        self._graph, self._taps, self._poolings = graph, taps, poolings
        self._preprocess, self._takes, self._image = preprocess, takes, size
        shapes = [pool.row_shape(tap.shape) for tap, pool in zip(taps, poolings, strict=True)]
        outputs = list(zip([tap.layer for tap in taps], shapes, strict=True))
        super().__init__(graph.name, size, outputs, rows, note, from_file=True)

    def _sized(self, rows: int) -> tuple[Callable[[np.ndarray], Any], int]:
        """The function for `rows` rows: the same bits for a row at any place, one by one if there is no other way."""
        if rows > 1 and on_gpu() is None and rows * self._graph.largest() > free_memory():
            raise MemoryError(f"{rows} rows of the largest layer")
        call = self._made(rows)
        if rows == 1:
            return call, 1
        if self._is_steady(call, rows):
            return call, rows
        if on_gpu() is not None:
            self.note(
                f"This machine treats some of {rows} rows differently: the last bits may depend on an image's "
                "neighbours, and merged shards may differ in them from a whole run. --batch-size 1 is free of it."
            )
            return call, rows
        self.note(
            f"{self._graph.name} has operators that treat some of {rows} rows differently: images go through it one by "
            "one, so that each gets the same bits at any place."
        )
        single = self._made(1)

        def one_by_one(pixels: np.ndarray) -> list[np.ndarray]:
            each = [single(pixels[number : number + 1]) for number in range(len(pixels))]
            return [np.concatenate(values) for values in zip(*each, strict=True)]

        return one_by_one, rows

    def _made(self, rows: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        program = Program(self._graph, self._taps, self._poolings, self._preprocess, self._takes, self._image, rows)
        call = session(program.message, program.weights, program.outputs, program.pixels)
        if self._takes.channels == 3:
            return call
        return lambda pixels: call(grey(pixels))

    def _is_steady(self, call: Callable[[np.ndarray], list[np.ndarray]], rows: int) -> bool:
        """Whether noise gets the same bits at two places of a batch."""
        shape = (rows, *self._image, 3)
        noise = np.random.default_rng(_TRIED).integers(0, 256, shape, dtype=np.uint8)
        straight, moved = call(noise), call(np.roll(noise, 1, axis=0))
        return all(
            np.array_equal(np.roll(later, -1, axis=0), first, equal_nan=True)
            for first, later in zip(straight, moved, strict=True)
        )
