"""What a network has to tap, without computing anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fne_cli.progress import SILENT, Progress

if TYPE_CHECKING:
    from fne_cli.networks.tapping.tapped import Tapped


@dataclass(frozen=True)
class LayerRow:
    """One layer that can be tapped. first_column is None for a layer that is not tapped."""

    order: int
    layer: str
    kind: str
    output_of: str
    output_shape: tuple[int, ...]
    pooling: str
    features: int
    first_column: int | None


@dataclass(frozen=True)
class LayerTable:
    """All such layers of a network in its order, the total of the tapped features, and bytes per image (float32).

    left_out has the name and the reason of layers that are not tapped, the classifier and those of other kinds.
    """

    network: str
    image_size: tuple[int, int]
    preprocess: str
    rows: list[LayerRow]
    features: int
    bytes_per_image: int
    code_bytes_per_image: int
    left_out: list[tuple[str, str]]


@dataclass(frozen=True)
class NamedNetwork:
    """A network that has a name: the side of its square input, and what its full embedding and its trained weights are.

    parameters count the classifier, flop the operations for one image (a multiplication and an addition are two).
    """

    name: str
    image_size: int
    preprocess: str
    features: int
    parameters: int
    flop: int
    licence: str


def known(sort: str | None = None) -> list[NamedNetwork]:
    """The networks that have a name, by families; or by one of the values, the smallest first. Nothing is built."""
    from fne_cli.networks.catalog import CATALOG, NAMES, licence_of, sizes
    from fne_cli.networks.mini import IMAGE_SIZE

    counted = sizes()
    found = []
    for name in NAMES:
        one, own = CATALOG.get(name), counted[name]
        side, preprocess = (IMAGE_SIZE, "tf") if one is None else (one.image_size, str(one.preprocess))
        found.append(NamedNetwork(name, side, preprocess, own.features, own.parameters, own.flop, licence_of(name)))
    return found if sort is None else sorted(found, key=lambda one: (getattr(one, sort), one.name))


def layers(
    model: str,
    *,
    layers: Sequence[str] = (),
    pool: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    progress: Progress = SILENT,
) -> LayerTable:
    """The layers of `model`; `layers` and `pool` choose and pool as in extract. Nothing is downloaded.

    Those of fisher and bow are as wide as a vocabulary of the default size makes them.
    """
    from fne_cli.networks.catalog import is_handcrafted, known_name
    from fne_cli.networks.kinds import is_onnx
    from fne_cli.networks.tapping import pooling, taps

    if is_handcrafted(model):
        return _handcrafted(str(known_name(model)), layers, pool, image_size)
    look = _of_onnx if is_onnx(model) else _of_keras
    name, size, preprocess, found, others = look(model, image_size)
    chosen = taps.select(found, layers)
    poolings = dict(zip((tap.layer for tap in chosen), pooling.pooling_of(chosen, pool), strict=True))
    rows, column = [], 0
    for order, tap in enumerate(found, start=1):
        pooled = poolings.get(tap.layer)
        features = math.prod((pooled or pooling.Pooling()).row_shape(tap.shape))
        rows.append(
            LayerRow(
                order=order,
                layer=tap.layer,
                kind=tap.kind + (f" ({tap.aside})" if tap.aside else ""),
                output_of=tap.output_of,
                output_shape=tap.shape,
                pooling=str(pooled) if pooled else "not tapped",
                features=features,
                first_column=None if pooled is None else column,
            )
        )
        if pooled is not None:
            column += features
    taken = tuple(f"{tap.layer}." for tap in chosen)  # conv.1. is of conv, too
    left = [(layer, reason) for layer, reason in others if not any(tapped.startswith(f"{layer}.") for tapped in taken)]
    return LayerTable(name, size, preprocess, rows, column, column * 4, column, left)


_Found = tuple[str, tuple[int, int], str, "Sequence[Tapped]", list[tuple[str, str]]]


def _of_keras(model: str, image_size: tuple[int, int] | None) -> _Found:
    from fne_cli.networks.catalog import known_name
    from fne_cli.networks.hub.preset import is_preset, preprocess_of
    from fne_cli.networks.weights import open_network

    # Shapes need neither trained weights nor the preprocessing of a file.
    name = known_name(model)
    told = preprocess_of(model)[0] if is_preset(model) else None
    network = (
        open_network(model, preprocess=told or "none", image_size=image_size)
        if name is None
        else open_network(model, weights="random", image_size=image_size)
    )
    preprocess = network.preprocess if name or told else "to be given"
    size = (network.height, network.width)
    return network.name, size, preprocess, network.taps(), network.left_out()


def _of_onnx(model: str, image_size: tuple[int, int] | None) -> _Found:
    from fne_cli.networks.onnx.prepared import open_onnx

    network = open_onnx(model, None, image_size, any_way=True)
    size = (network.height, network.width)
    return network.name, size, network.preprocess or "to be given", network.taps, network.left_out


def _handcrafted(
    model: str, layers: Sequence[str], pool: Sequence[str], image_size: tuple[int, int] | None
) -> LayerTable:
    from fne_cli.descriptors import handcrafted
    from fne_cli.errors import BadInput

    if pool:
        raise BadInput(f"--pool is for networks. Found: {model}. Leave --pool out.")
    size = image_size or handcrafted.IMAGE_SIZE
    chosen = handcrafted.chosen_layers(model, layers)
    rows, column = [], 0
    for order, (name, width) in enumerate(handcrafted.widths_by_default(model, size).items(), start=1):
        taken = name in chosen
        rows.append(
            LayerRow(
                order=order,
                layer=name,
                kind=handcrafted.tap_of(model, name),
                output_of=name,
                output_shape=(width,),
                pooling="none" if taken else "not tapped",
                features=width,
                first_column=column if taken else None,
            )
        )
        column += width * taken
    return LayerTable(model, size, "none", rows, column, column * 4, column, [])
