"""The network to train: its layers drawn anew, a head for the classes, and what is copied from another network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fne_cli.errors import BadInput, WrongOptions
from fne_cli.networks import graph
from fne_cli.networks.backend import forget, load_keras
from fne_cli.networks.catalog import Precision, known_name
from fne_cli.networks.graph import Input
from fne_cli.networks.preprocessing import canonical
from fne_cli.networks.tapping import taps
from fne_cli.networks.trained.family import Family
from fne_cli.networks.trained.parts import copy_first, weight_layers
from fne_cli.networks.weights import Network, open_network, seeded

if TYPE_CHECKING:
    import keras

DEFAULT = "vgg-mini"


@dataclass(frozen=True)
class Start:
    """Where training begins; the options of `fne train` of these names, where `source` is --from.

    model: whose layers it has, by default those of `source`, or the family vgg-mini. copy: how many weight layers are
    copied from `source`, None for all before its classifier. freeze: whether the first `copy` stay as they are.
    """

    model: str | None = None
    source: str | None = None
    weights: str | None = None
    copy: int | None = None
    freeze: bool = False
    seed: int = 0
    preprocess: str | None = None
    image_size: tuple[int, int] | None = None
    precision: Precision = "float32"

    def check(self) -> None:
        """Raises WrongOptions for what does not go together."""
        if self.weights is not None and self.source is None:
            raise WrongOptions("--weights are those of the network that --from names. Found: no --from.")
        if self.source is None and self.copy is not None and not self.freeze:
            raise WrongOptions("--copy needs --from, the network to copy from; or --freeze, to keep layers as drawn.")
        if self.freeze and (self.copy == 0 or (self.copy is None and self.source is None)):
            raise WrongOptions("--freeze keeps the first --copy N weight layers. Give --copy of 1 or more.")


@dataclass(frozen=True)
class Trainable:
    """A network to train: (batch, height, width, channels) -> probabilities of the classes.

    logits: the tensor before the softmax. layers: its weight layers, of which the first `copied` have the weights of
    `source`, whose SHA-256 is `source_sha256`, and the first `frozen` do not learn.
    """

    model: keras.Model
    logits: Any
    preprocess: str
    takes: Input
    height: int
    width: int
    layers: Sequence[str]
    copied: int
    frozen: int
    source: str | None
    source_sha256: str | None
    notes: Sequence[str]


def build(start: Start, classes: int) -> Trainable:
    """Build it for so many classes. Raises BadInput for what cannot be built, copied or frozen."""
    start.check()
    keras = load_keras()
    if keras.backend.backend() != "tensorflow":
        raise BadInput(f"fne train should have TensorFlow. Found: KERAS_BACKEND={keras.backend.backend()}.")
    forget()  # names of unnamed layers stand in the file
    source = None
    if start.source is not None:
        source = open_network(start.source, start.weights, start.seed, start.preprocess, start.image_size)
    base = _base(start, source)
    if base.is_hub or (source is not None and source.is_hub):
        raise BadInput(
            f"Networks that are trained should have Keras's own layers alone. Found: {base.name}, of KerasHub.",
            remedy="Extractions take it: fne extract --model FOLDER.",
        )
    drawn = seeded(lambda: keras.models.clone_model(_with_head(base, classes, start.precision)), start.seed)
    # Of a copy of the same layers, in which another precision is a matter of the copy alone.
    model = graph.flat(drawn, base.height, base.width, start.precision, base.takes)
    logits = graph.call_of(model.outputs[0]).input_tensors[0]
    head = graph.call_of(logits).operation
    own = [layer for layer in weight_layers(model) if head not in layer.members]
    copied = 0
    if source is not None:
        theirs = weight_layers(keras.Model(source.model.inputs, _features(source.model)))
        copied = len(theirs) if start.copy is None else start.copy
        copy_first(theirs, own, copied, start.source or "")
    frozen = (copied if source is not None else start.copy or 0) if start.freeze else 0
    if frozen > len(own):
        copy_first(own, own, frozen, "the network to train")  # which says what is wrong
    for layer in model.layers:
        layer.trainable = True
    for part in own[:frozen]:
        for member in part.members:
            member.trainable = False
    return Trainable(
        model=model,
        logits=logits,
        preprocess=base.preprocess,
        takes=base.takes,
        height=base.height,
        width=base.width,
        layers=[layer.name for layer in own] + [graph.name_of(head)],
        copied=copied,
        frozen=frozen,
        source=None if source is None else f"{source.name}, {source.weights}",
        source_sha256=None if source is None else source.weights_sha256(),
        notes=() if source is None else source.notes,
    )


def _base(start: Start, source: Network | None) -> Network:
    """The network whose layers are trained, with whatever weights."""
    prepared = start.preprocess or (None if source is None else source.preprocess)
    if start.model is None and source is not None:
        return source
    model = start.model or DEFAULT
    family = Family.parse(model)
    if family is None:
        weights = None if known_name(model) is None else "random"
        return open_network(model, weights, start.seed, prepared, start.image_size)
    side = (family.image, family.image)
    if start.image_size not in (None, side):
        raise BadInput(f"{family} takes images of {side[0]} x {side[1]}. Leave --image-size out, or say image=SIDE.")
    network = family.build()
    return Network(network.name, network, canonical(prepared or "tf", graph.RGB), *side, "none")


def _features(model: keras.Model) -> Any:
    """The tensor that the classifier of a network is given, or its output if it has none."""
    output = model.outputs[0]
    classifier = taps.classifier_of(output)
    if classifier is None:
        return output
    call = graph.call_of(output)
    while call.operation is not classifier:
        call = graph.call_of(call.input_tensors[0])
    return call.input_tensors[0]


def _with_head(base: Network, classes: int, precision: Precision) -> keras.Model:
    """The layers before the classifier, the average over the map if they end in one, and a new dense classifier."""
    import keras
    from keras import layers

    features = _features(base.model)
    if len(features.shape) not in (2, 4) or len(base.model.outputs) > 1:
        raise BadInput(
            f"{base.name} should end in one map or vector for each image, to have a classifier on it. "
            f"Found: {[tuple(one.shape[1:]) for one in base.model.outputs]}."
        )
    taken = {operation.name for operation in keras.Model(base.model.inputs, features).operations}

    def name(wanted: str) -> str:
        while wanted in taken:
            wanted += "_new"
        return wanted

    if len(features.shape) == 4:
        form = "channels_first" if base.takes.channels_first else "channels_last"
        features = layers.GlobalAveragePooling2D(data_format=form, name=name("average_pool"))(features)
    policy = precision if precision == "float32" else f"mixed_{precision}"
    logits = layers.Dense(classes, dtype=policy, name=name("predictions"))(features)
    outputs = layers.Activation("softmax", dtype="float32", name=name("probabilities"))(logits)
    return keras.Model(base.model.inputs, outputs, name=base.name)
