"""An ONNX file as a message that can be trusted: what it claims is compared with what is there before it is used.

Nothing of a file is computed here, and onnxruntime never opens one by itself: weights in other files are read here,
from the folder of the model alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DoesNotFit
from fne_cli.machine import free_memory
from fne_cli.networks.kinds import container
from fne_cli.networks.onnx.light import light_of, without_weights

_MESSAGE_BYTES = (2 << 30) - 1  # more no message of protobuf can have
_NODES = 200_000  # the largest networks that people export have some thousands
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
_AGAIN = "Export it again, or get it again."


@dataclass(frozen=True)
class OnnxFile:
    """message: the model, in which weights have a shape and no values; weights: their values by name, in its order."""

    path: str
    message: Any
    weights: dict[str, np.ndarray]


def load_onnx() -> Any:
    """The package onnx. Raises BadInput, with how to install it, where it or onnxruntime is missing."""
    try:
        import onnx
        import onnxruntime  # noqa: F401  # both are needed, and it is better said now
    except ImportError as error:
        raise BadInput(
            f"Networks in .onnx files should have the packages onnx and onnxruntime. Found: {error}.",
            remedy="pip install 'fne-cli[onnx]'",
        ) from error
    return onnx


def read(path: str) -> OnnxFile:
    """The network at `path`. Raises BadInput for what is no ONNX file, damaged or refused; DoesNotFit."""
    onnx = load_onnx()
    if container(path) != "onnx":
        raise BadInput(f"{path} should be an ONNX file. Found: a network of Keras.", remedy="Name it .keras or .h5.")
    message = _parsed(path, onnx)
    if not all(isinstance(name, str) for name in _names(message)):  # bytes, where they are no UTF-8
        raise BadInput(f"{path} should be an ONNX file. Found: names that are no text.", remedy=_AGAIN)
    _check_structure(path, message, onnx)
    _check_size(path, message)
    weights = {tensor.name: _values(path, tensor, onnx) for tensor in message.graph.initializer}
    _lift_constants(path, message, weights, onnx)
    light = light_of(message, weights)
    try:
        onnx.checker.check_model(without_weights(light), full_check=False)
    except Exception as error:  # its own ValidationError, and whatever its C++ raises
        raise BadInput(f"{path} should be a valid ONNX file. Found: {_brief(error)}.", remedy=_AGAIN) from error
    return OnnxFile(path, light, weights)


def external_files(path: str) -> list[str]:
    """The files beside the model that have weights of it; none for what cannot be read."""
    try:
        onnx = load_onnx()
        message = _parsed(path, onnx)
        return sorted({_beside(path, tensor) for tensor in message.graph.initializer if tensor.data_location == 1})
    except (BadInput, DoesNotFit):
        return []


def _parsed(path: str, onnx: Any) -> Any:
    try:
        size = os.path.getsize(path)
        if size > _MESSAGE_BYTES:
            raise BadInput(
                f"{path} should have at most 2 GiB. Found: {size:,} bytes.",
                remedy="Export it with its weights in a file beside it (external data).",
            )
        if 3 * size > free_memory():
            raise DoesNotFit(f"{path} takes {3 * size:,} bytes to read. Free: {free_memory():,}.")
        content = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} should be readable. Found: {error.strerror}.") from error
    message = onnx.ModelProto()
    try:
        message.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError has no common module over its versions
        raise BadInput(
            f"{path} should be an ONNX file. Found: something else, or a damaged one.", remedy=_AGAIN
        ) from error
    if not message.HasField("graph") or not message.graph.node:
        raise BadInput(f"{path} should be an ONNX file with a graph. Found: none.", remedy=_AGAIN)
    return message


def _check_structure(path: str, message: Any, onnx: Any) -> None:
    """Raises BadInput for what is not an ordinary graph of ONNX's own operators, in the order of computing."""
    nodes, graph = message.graph.node, message.graph

    def refused(found: str, remedy: str) -> BadInput:
        return BadInput(f"{path} should be a graph of ONNX's own operators. Found: {found}.", remedy=remedy)

    plain = "Export it without such operators, for ONNX alone and not for one runtime."
    if len(nodes) > _NODES:
        raise refused(f"{len(nodes):,} operators", f"At most {_NODES:,} are read.")
    if message.functions:
        name = _shown(message.functions[0].name)
        raise refused(f"functions of its own ({name})", "Inline them: onnx.inliner.inline_local_functions(model)")
    if graph.sparse_initializer:
        raise refused("sparse weights", plain)
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in ("", "ai.onnx")})
    if foreign:
        raise refused(f"custom operators: {', '.join(map(_shown, foreign[:5]))}{' ...' * (len(foreign) > 5)}", plain)
    unknown = sorted({node.op_type for node in nodes if not onnx.defs.has(node.op_type)})
    if unknown:
        raise refused(f"unknown operators: {', '.join(map(_shown, unknown[:5]))}", plain)
    for node in nodes:
        if node.op_type in _RANDOM:
            raise refused(f"{node.op_type}, which gives other numbers each time", "Export it in inference mode.")
        if any(one.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for one in node.attribute):
            raise refused(
                f"{node.op_type}, whose parts run or not, depending on values",
                "Export it for images of one size, so that nothing is left to decide, or with dynamo=True.",
            )
    known = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    for node in nodes:
        missing = [name for name in node.input if name and name not in known]
        if missing:
            raise refused(
                f"{_shown(missing[0])}, which is used before it is made: a cycle, or a part is missing", _AGAIN
            )
        twice = [name for name in node.output if name and name in known]
        if twice:
            raise refused(f"{_shown(twice[0])}, which is made twice", _AGAIN)
        known.update(name for name in node.output if name)
    if any(value.name not in known for value in graph.output):
        raise refused("an output that nothing makes", _AGAIN)


def _names(message: Any) -> Iterator[Any]:
    graph = message.graph
    for one in (message, *graph.node):
        yield from (text for entry in one.metadata_props for text in (entry.key, entry.value))
    yield from (graph.name, *(one.domain for one in message.opset_import))
    yield from (one.name for part in (graph.initializer, graph.input, graph.output) for one in part)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (one.name for one in node.attribute)
    for tensor in _tensors(message):
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))


def _tensors(message: Any) -> Iterator[Any]:
    yield from message.graph.initializer
    for node in message.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _check_size(path: str, message: Any) -> None:
    """Raises BadInput for a tensor that claims another size than it has, DoesNotFit if there is no memory for all."""
    total = 0
    for number, tensor in enumerate(_tensors(message)):
        wanted, beside = _claimed(path, tensor), tensor.data_location == 1
        if beside and number >= len(message.graph.initializer):
            raise BadInput(
                f"{path} should have in files beside it the weights alone. Found: {_shown(tensor.name)}, a constant."
            )
        if beside:
            _, offset, length, size = _place(path, tensor)
            if length != wanted or offset + length > size:
                raise _false(path, tensor, wanted, f"{length:,} from {offset:,} on in a file of {size:,}")
        elif tensor.raw_data and len(tensor.raw_data) != wanted:
            raise _false(path, tensor, wanted, f"{len(tensor.raw_data):,}")
        elif not tensor.raw_data and tensor.data_type != 8:
            # The lists of numbers have at most one entry for each number (two for complex ones).
            found = sum(len(getattr(tensor, name)) for name in _LISTS)
            if math.prod(tensor.dims) > 2 * found:
                raise _false(path, tensor, wanted, f"{found:,} numbers")
        total += wanted
    if 2 * total > free_memory():
        raise DoesNotFit(
            f"{path}: its weights take {total:,} bytes, and twice that while they are loaded. Free: {free_memory():,}."
        )


_LISTS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def _claimed(path: str, tensor: Any) -> int:
    """Bytes of a tensor by its shape and type. Raises BadInput for a shape or type that there is not."""
    import onnx

    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    if any(size < 0 for size in tensor.dims) or len(tensor.dims) > 16:
        raise BadInput(
            f"{path} should have weights with a shape. Found: {_shown(tensor.name)}, {list(tensor.dims)[:16]}."
        )
    bits = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
    try:
        name = onnx.TensorProto.DataType.Name(tensor.data_type)
        size = bits.get(name) or 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError, TypeError) as error:
        raise BadInput(
            f"{path} should have weights of a known type. Found: {_shown(tensor.name)}, type {tensor.data_type}."
        ) from error
    return (math.prod(tensor.dims) * size + 7) // 8


def _false(path: str, tensor: Any, wanted: int, found: str) -> BadInput:
    return BadInput(
        f"{path}: {_shown(tensor.name)} claims {list(tensor.dims)}, so {wanted:,} bytes. Found: {found}.", remedy=_AGAIN
    )


def _entries(tensor: Any) -> dict[str, str]:
    return {str(entry.key): str(entry.value) for entry in tensor.external_data}


def _beside(path: str, tensor: Any) -> str:
    """The file that has a tensor's values, which lies in the folder of the model. Raises BadInput for any other."""
    location = _entries(tensor).get("location", "")
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    # A name with NUL is no file's; links are followed to see where they end.
    inside = bool(location) and "\0" not in location and not os.path.isabs(location)
    target = os.path.join(folder, location) if inside else ""
    if not inside or os.path.commonpath([folder, os.path.realpath(target)]) != folder:
        raise BadInput(
            f"{path} should have its weights in its own folder. Found: {_shown(location) or 'no name'}.",
            remedy="If it is a link into a cache, copy the folder with what its links mean: cp -rL",
        )
    return target


def _place(path: str, tensor: Any) -> tuple[str, int, int, int]:
    """File, offset, length, and the size of the file. Raises BadInput."""
    target, entries = _beside(path, tensor), _entries(tensor)
    try:
        offset, size = int(entries.get("offset", 0)), os.path.getsize(target)
        length = int(entries.get("length", size - offset))
    except (ValueError, OSError) as error:
        found = error.strerror if isinstance(error, OSError) else "a place that is no number"
        raise BadInput(
            f"{path} should have its weights beside it, in {_shown(os.path.basename(target))}. Found: {found}.",
            remedy="Copy or download that file, too.",
        ) from error
    if offset < 0 or length < 0 or not os.path.isfile(target):
        raise BadInput(f"{path} should have its weights in a file beside it. Found: {_shown(target)}.", remedy=_AGAIN)
    return target, offset, length, size


def _values(path: str, tensor: Any, onnx: Any) -> np.ndarray:
    """The values of a weight, from the message or from the file beside it."""
    try:
        if tensor.data_location == 1:
            target, offset, length, _ = _place(path, tensor)
            with open(target, "rb") as file:
                file.seek(offset)
                content = file.read(length)
            whole = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=content)
            return onnx.numpy_helper.to_array(whole)
        return onnx.numpy_helper.to_array(tensor)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path}: {_shown(tensor.name)} cannot be read: {_brief(error)}.", remedy=_AGAIN) from error


def _lift_constants(path: str, message: Any, weights: dict[str, np.ndarray], onnx: Any) -> None:
    """Make weights of the constants that some exporters write as operators."""
    kept = []
    for node in message.graph.node:
        value = node.attribute[0] if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if value is None or value.name != "value" or value.t.data_type == onnx.TensorProto.STRING:
            kept.append(node)
            continue
        weights[node.output[0]] = _values(path, value.t, onnx)
    if len(kept) < len(message.graph.node):
        del message.graph.node[:]
        message.graph.node.extend(kept)


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _shown(name: str) -> str:
    """A name from a file, cut; its characters are escaped where it is printed."""
    return name if len(name) <= 120 else f"{name[:117]}..."
