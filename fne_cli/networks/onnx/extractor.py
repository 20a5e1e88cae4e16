"""From a batch of pixels to the pooled activations of every tapped tensor, by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fne_cli.machine import free_memory
from fne_cli.networks.graph import Input
from fne_cli.networks.onnx.graph import Graph
from fne_cli.networks.onnx.program import Program
from fne_cli.networks.onnx.session import on_gpu, session
from fne_cli.networks.onnx.taps import OnnxTap
from fne_cli.networks.preprocessing import grey
from fne_cli.networks.running.batching import Batching, one_by_one
from fne_cli.networks.tapping.pooling import Pooling


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
        self.competes = on_gpu() is None
        self._preprocess, self._takes, self._image = preprocess, takes, size
        shapes = [pool.row_shape(tap.shape) for tap, pool in zip(taps, poolings, strict=True)]
        outputs = list(zip([tap.layer for tap in taps], shapes, strict=True))
        super().__init__(graph.name, size, outputs, rows, note, from_file=True)

    def _sized(self, rows: int) -> tuple[Callable[[np.ndarray], Any], int]:
        """The function for `rows` rows: the same bits for a row at any place, one by one if there is no other way."""
        if rows > 1 and on_gpu() is None and rows * self._graph.largest() > free_memory():
            raise MemoryError(f"{rows} rows of the largest layer")
        if self._graph.rows == 1:
            return one_by_one(self._made(1)), rows
        return self._in_order(self._made, rows, here=on_gpu() is None), rows

    def _made(self, rows: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        program = Program(self._graph, self._taps, self._poolings, self._preprocess, self._takes, self._image, rows)
        call = session(program.message, program.weights, program.outputs, program.pixels)
        if self._takes.channels == 3:
            return call
        return lambda pixels: call(grey(pixels))
