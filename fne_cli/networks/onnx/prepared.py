"""An ONNX network made ready by a recipe, as a source of features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.networks import described
from fne_cli.networks.graph import Input
from fne_cli.networks.onnx import metadata
from fne_cli.networks.onnx.extractor import OnnxExtractor
from fne_cli.networks.onnx.graph import Graph, digest_order
from fne_cli.networks.onnx.reading import OnnxFile, read
from fne_cli.networks.onnx.session import device_name
from fne_cli.networks.onnx.shapes import tapped_graph
from fne_cli.networks.onnx.taps import OnnxTap
from fne_cli.networks.preprocessing import HOW_TO_FIND_OUT, NAMED, WHAT_THEY_DO, canonical
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.tapping import pooling, taps

_MADE_UP = ("", "main", "main_graph", "graph", "torch_jit", "torch-jit-export", "tf2onnx", "model")
_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}


@dataclass(frozen=True)
class OnnxNetwork:
    """A network from an ONNX file over images of one size: its graph, all its taps, and how images are prepared."""

    name: str
    graph: Graph
    taps: list[OnnxTap]
    left_out: list[tuple[str, str]]
    takes: Input
    height: int
    width: int
    preprocess: str
    notes: tuple[str, ...] = ()

    def weights_sha256(self) -> str:
        """SHA-256 over shape, type and bytes of all weights that are used, in the order of computing."""
        digest = hashlib.sha256()
        for _, values in digest_order(self.graph):
            digest.update(f"{values.shape} {values.dtype}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def open_onnx(
    path: str, preprocess: str | None = None, image_size: tuple[int, int] | None = None, any_way: bool = False
) -> OnnxNetwork:
    """The network at `path`. any_way: its layers alone are wanted, whatever is done to images. Raises BadInput."""
    file = read(path)
    name = file.message.graph.name
    if name in _MADE_UP:
        name = os.path.splitext(os.path.basename(path))[0]
    takes, fixed = _input_of(path, file)
    notes: tuple[str, ...] = ()
    if preprocess is None:
        told = metadata.preprocess_of(path, file.message)
        if told is not None:
            preprocess = told[0]
            notes = (f"--preprocess {told[0]}, by {told[1]}",)
        elif not any_way:
            raise BadInput(
                f"{path} does not say how its input is to be prepared. Give --preprocess {'|'.join(NAMED)}:\n"
                f"{WHAT_THEY_DO}\n{HOW_TO_FIND_OUT}"
            )
    prepared = "" if preprocess is None else canonical(preprocess, takes)
    if not takes.dtype.startswith(("float", "bfloat")) and prepared not in ("", "none"):
        raise BadInput(f"{path} takes whole numbers ({takes.dtype}). Give --preprocess none. Found: {prepared}.")
    size = image_size or (fixed[0] or 0, fixed[1] or 0)
    if 0 in size:
        raise BadInput(f"{path} takes images of any size. Give --image-size.")
    if any(side not in (None, asked) for side, asked in zip(fixed, size, strict=True)):
        sides = " x ".join(str(side or "any") for side in fixed)
        raise BadInput(f"{path} takes images of {sides}. Found: --image-size {size[0]} x {size[1]}.")
    graph, found, left = tapped_graph(file, takes, size)
    if graph.rows == 1:
        notes = (*notes, f"{name} takes one image at a time, as it was exported: images go through it one by one")
    return OnnxNetwork(name, graph, found, left, takes, *size, prepared, notes)


def _input_of(path: str, file: OnnxFile) -> tuple[Input, tuple[int | None, int | None]]:
    """What the network takes, and the height and width that it fixes. Raises BadInput."""
    inputs = file.message.graph.input
    shapes = []
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        shapes.append(tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims))
    shown = "; ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True))
    wants = f"{path} should take one RGB image, (batch, 3, height, width), or a grey one. Found: {shown or 'nothing'}."
    if len(shapes) != 1:
        raise BadInput(wants, remedy="Export the part that takes the image alone (the vision model of CLIP, for one).")
    kind = _TYPES.get(inputs[0].type.tensor_type.elem_type)
    if kind is None or len(shapes[0]) != 4:
        raise BadInput(wants)
    first, last = (shapes[0][1], shapes[0][2:]), (shapes[0][3], shapes[0][1:3])
    for channels_first, (channels, sides) in ((True, first), (False, last)):
        if channels in (1, 3):
            return Input(channels, channels_first, kind), _sides(sides)
    if first[0] is None and last[0] is None:  # nothing is said: as PyTorch has it
        return Input(3, True, kind), _sides(first[1])
    raise BadInput(wants)


def _sides(sides: tuple[int | None, ...]) -> tuple[int | None, int | None]:
    height, width = (side or None for side in sides)
    return height, width


@dataclass(frozen=True)
class PreparedOnnx:
    """A recipe's network with its taps and the pooling of each."""

    recipe: Recipe
    network: OnnxNetwork
    taps: list[OnnxTap]
    poolings: list[pooling.Pooling]
    _compiled: list[OnnxExtractor] = field(default_factory=list, init=False, compare=False, repr=False)

    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime-gpu", "pillow")

    @classmethod
    def of(cls, recipe: Recipe) -> PreparedOnnx:
        """Read the network and choose its taps. Raises BadInput."""
        path = recipe.model
        if recipe.weights is not None:
            raise BadInput(f"{path} has its own weights. Leave --weights out.")
        if recipe.precision != "float32" or recipe.xla:
            raise WrongOptions(f"{path} is computed as it was exported. Leave --precision and --xla out.")
        network = open_onnx(path, recipe.preprocess, recipe.image_size)
        tapped = taps.select(network.taps, recipe.layers)
        return cls(recipe, network, tapped, pooling.pooling_of(tapped, recipe.pool))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.network.height, self.network.width

    def notes(self) -> list[str]:
        """What a person should know before it begins; who has chosen layers knows what is left out."""
        left = [] if self.recipe.layers else self.network.left_out
        return [*self.network.notes, *([f"left out: {taps.in_one_line(left)}"] if left else [])]

    def device(self) -> str:
        """What onnxruntime computes on."""
        return device_name()

    def settings(self) -> dict[str, Any]:
        """What determines the numbers, as the file stores it."""
        network = self.network
        own = {
            "network": network.name,
            "weights": "file",
            "weights_sha256": network.weights_sha256(),
            "preprocess": network.preprocess,
        }
        return own | described.settings(self.recipe, self.image_size, self.taps, self.poolings)

    def columns(self) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
        """Name, shape of one row, and description of each tapped layer."""
        return described.columns(self.taps, self.poolings)

    def extractor(self, note: Callable[[str], None]) -> OnnxExtractor:
        """The function, made ready once; `note` is told if it has to shrink its batch."""
        if not self._compiled:
            network = self.network
            self._compiled.append(
                OnnxExtractor(
                    network.graph, self.taps, self.poolings, network.preprocess, network.takes, self.image_size,
                    self.recipe.batch_rows, note,
                )
            )  # fmt: skip
        self._compiled[0].note = note
        return self._compiled[0]
