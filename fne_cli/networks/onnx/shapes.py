"""Whether an ONNX network takes any batch, and the shapes of its tensors for one."""

from __future__ import annotations

import numpy as np

from fne_cli.errors import BadInput
from fne_cli.networks.graph import Input
from fne_cli.networks.onnx.graph import ROWS, Graph
from fne_cli.networks.onnx.program import as_it_is
from fne_cli.networks.onnx.reading import OnnxFile
from fne_cli.networks.onnx.session import session
from fne_cli.networks.onnx.taps import OnnxTap, find_taps, lacking_rows

_Found = tuple[Graph, list[OnnxTap], list[tuple[str, str]]]


def tapped_graph(file: OnnxFile, takes: Input, size: tuple[int, int]) -> _Found:
    """The graph for images of `size`, its taps, and what of it is not tapped.

    A file that is exported for one image has that often in shapes and constants: then it is a graph of one row. Raises
    BadInput for a network without taps, that cannot be computed, or is for batches of another number alone.
    """
    dims = file.message.graph.input[0].type.tensor_type.shape.dim
    declared = dims[0].dim_value if dims[0].HasField("dim_value") else 0
    if declared in (0, ROWS):
        return _found(file, takes, size, ROWS)
    found, refusal = _or_error(file, takes, size, ROWS)
    if found is not None and not lacking_rows(found[2]):
        return found
    fixed, _ = _or_error(file, takes, size, declared)
    if fixed is None and refusal is not None:
        raise refusal
    if found is not None:
        if fixed is None or len(lacking_rows(fixed[2])) >= len(lacking_rows(found[2])):
            return found
        if declared != 1 and _tapped(fixed) == _tapped(found):  # it is the classifier alone that is lost
            return found
    assert fixed is not None
    if declared != 1:
        raise BadInput(
            f"{file.path} should take any number of images, or one. Found: {declared} at a time.",
            remedy="Export it with an open batch, or for one image.",
        )
    return fixed


def _tapped(found: _Found) -> int:
    return sum(not tap.aside for tap in found[1])


def _or_error(
    file: OnnxFile, takes: Input, size: tuple[int, int], rows: int
) -> tuple[_Found, None] | tuple[None, BadInput]:
    try:
        return _found(file, takes, size, rows), None
    except BadInput as error:
        return None, error


def _found(file: OnnxFile, takes: Input, size: tuple[int, int], rows: int) -> _Found:
    graph = Graph(file, takes.shape(*size), file.path, rows)
    _find_out(graph, takes)
    return graph, *find_taps(graph)


def _find_out(graph: Graph, takes: Input) -> None:
    """Compute a few black images for the shapes that do not follow from the graph alone. Raises BadInput."""
    unknown = graph.unknown()
    if not unknown:
        return
    message, weights = as_it_is(graph, unknown, graph.rows)
    try:
        call = session(message, weights, unknown, graph.input)
        import ml_dtypes

        kind = ml_dtypes.bfloat16 if takes.dtype == "bfloat16" else takes.dtype
        values = call(np.zeros((graph.rows, *graph.input_shape), kind))
    except Exception as error:  # onnxruntime has classes of its own, without a common one
        raise BadInput(f"{graph.name} cannot be computed here: {' '.join(str(error).split())[:300]}") from error
    graph.shapes.update((name, np.shape(value)) for name, value in zip(unknown, values, strict=True))
