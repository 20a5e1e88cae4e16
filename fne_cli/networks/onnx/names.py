"""Names of layers of an ONNX network: the modules that its weights, or its operators, are named after."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from fne_cli.networks.onnx.graph import Graph, scope

# What exporters put behind the name of a module: the weight's part of it, or the operator.
_PART = re.compile(r"[./](weight|kernel|bias|W|B|w|b)(:0)?$|/(Read)?ReadVariableOp(:0)?$|_(weight|kernel)$")
_OPERATOR = re.compile(
    r"[/.]?(Conv|ConvTranspose|Gemm|MatMul|Conv2D|Convolution|BiasAdd|DepthwiseConv2dNative)(_\d+)?$"
)
_MADE_UP = re.compile(r"(onnx::|val_|_val|/|node_)?[A-Za-z_]*_?\d*|\d+")  # onnx::MatMul_123, val_7, node_Conv_12, 45
_NUMBERED = re.compile(r"(^|_)\d+$")  # 3, encoder_layer_3
_LENGTH = 120


class Names:
    """A name for each of the layers `cores`, none twice. The same for the same graph."""

    def __init__(self, graph: Graph, cores: Sequence[Any]) -> None:
        found = [_named(graph, node) for node in cores]
        given = [name for name in found if name is not None]
        start = _common_start(given)
        plain = [None if name is None else (name[len(start) :] or name) for name in found]
        kinds: Counter[str] = Counter()
        wanted = []
        for node, name in zip(cores, plain, strict=True):
            kinds[node.op_type] += 1
            wanted.append(name or f"{node.op_type.lower()}_{kinds[node.op_type]}")
        counts = Counter(wanted)
        self._taken: set[str] = {name for name in wanted if counts[name] == 1}
        self._names: dict[int, str] = {}
        seen: Counter[str] = Counter()
        for node, name in zip(cores, wanted, strict=True):
            seen[name] += 1
            self._names[id(node)] = name if counts[name] == 1 else self.free(f"{name}.{seen[name]}")

    def of(self, node: Any) -> str:
        """The name of a layer."""
        return self._names[id(node)]

    def free(self, name: str) -> str:
        """A name that no other has, from now on."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def of_block(self, weighted: Sequence[Any], number: int) -> str:
        """What the names of a block's layers have in common, or its number."""
        words = [self._names[id(node)].split(".")[:-1] for node in weighted if id(node) in self._names]
        common = _shared(words)
        return ".".join(common) if any(_NUMBERED.search(word) for word in common) else f"block{number}"


def _named(graph: Graph, node: Any) -> str | None:
    """The name of a layer's module: by its weights, as an exporter has noted it, by its bias or by itself.

    Biases come late: PyTorch's exporters keep one of all that are equal, as zeros before training are.
    """
    for weight in node.input[1:2]:
        if (name := _by_part(weight)) is not None:
            return name
    if noted := _clean(scope(node)):
        return noted
    bias = [
        given
        for user in graph.users[node.output[0]]
        if node.op_type == "MatMul" and user.op_type == "Add"
        for given in user.input
        if given in graph.file.weights
    ]
    for weight in (*node.input[2:3], *bias):
        if (name := _by_part(weight)) is not None:
            return name
    if node.name and not _MADE_UP.fullmatch(node.name.strip("/")):
        return _clean(_OPERATOR.sub("", _scope(node.name))) or None
    return None


def _by_part(weight: str) -> str | None:
    """The module that a weight or a bias is named after, or None."""
    if _PART.search(weight) and not _MADE_UP.fullmatch(weight):
        return _clean(_PART.sub("", weight)) or None
    return None


def _scope(name: str) -> str:
    """`/features/features.0/Conv`, as PyTorch has it, without what each part repeats of the one before."""
    parts: list[str] = []
    for part in name.strip("/").split("/"):
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return "/".join(parts)


def _clean(name: str) -> str:
    """A name that can stand in a file and on a screen, with dots between its parts."""
    plain = "".join(letter if letter.isprintable() else "_" for letter in name.replace("\\", "/"))
    return ".".join(word for word in plain.strip("./: ").split("/") if word)[:_LENGTH].encode(errors="replace").decode()


def _common_start(names: Sequence[str]) -> str:
    """The parts that all names begin with, as the name of the whole model."""
    words = [name.split(".") for name in names]
    if len(names) < 2:
        return ""
    common = _shared([parts[:-1] for parts in words])
    return "".join(f"{word}." for word in common)


def _shared(lists: Sequence[Sequence[str]]) -> list[str]:
    """The words that all lists begin with."""
    shared = []
    for words in zip(*lists, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return shared
