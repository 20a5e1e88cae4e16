"""A saved classifier and the features of a file: what it says of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from fne_cli.errors import WrongFile
from fne_cli.numerics.embedding import Embedding, arrays_of, embedding
from fne_cli.numerics.evaluation.metrics import Judged, judge
from fne_cli.numerics.models import Model, model_of
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import comparable, differences, fingerprint, moments_of
from fne_cli.store.many.gather import gathered
from fne_cli.store.other.classifiers import load_model


@dataclass(frozen=True)
class SavedClassifier:
    """What fne evaluate --save-classifier saved: head, arrays, the embedding of activations (None for codes)."""

    path: Path
    head: dict[str, Any]
    arrays: dict[str, np.ndarray]
    fitted: Embedding | None

    @classmethod
    def of(cls, path: Path) -> Self:
        """Raises BadInput, WrongFile or DamagedFile."""
        head, arrays = load_model(path, arrays_of)
        fitted = None
        if head["embedding"] != "codes":
            fitted = embedding(head["embedding"]).of_state(arrays, head["layer_features"], tuple(head["thresholds"]))
        return cls(path, head, arrays, fitted)

    @property
    def classes(self) -> list[str]:
        """The names of its classes, in the order of its decision values."""
        classes: list[str] = self.head["classes"]
        return classes

    @property
    def several(self) -> bool:
        """Whether an image may have several labels."""
        return bool(self.head["several_labels"])

    @property
    def takes(self) -> str:
        """The kind of file that it classifies."""
        return "codes" if self.head["embedding"] == "codes" else "activations"

    @property
    def model(self) -> Model:
        """For rows that are encoded."""
        temperature = None if "temperature" not in self.head else float(self.head["temperature"])
        return model_of(
            self.head.get("classifier", "svm"),
            np.arange(len(self.classes)),
            sum(self.head["layer_features"]),
            self.arrays,
            temperature,
        )

    def judged(self, source: Reader, layers: Sequence[LayerReader], images: np.ndarray) -> Judged:
        """What it says of some images, ascending numbers; layers: those of `layers_of`."""
        crops, model = int(source.settings["crops"]), self.model
        rows = (values for _, values in gathered(layers, crops, images))
        decisions = np.concatenate(
            [model.decisions(values if self.fitted is None else self.fitted.encode(values)) for values in rows]
        )
        return judge(model.classes, decisions, len(self.classes), crops, self.head["aggregate"])

    def said(self, judged: Judged) -> np.ndarray:
        """The classes of images, as labels are: (n,), or (n, classes) int8 with 1 for those that an image has."""
        return (judged.decisions > 0).astype(np.int8) if self.several else judged.predicted

    def named(self, source: Reader) -> list[LayerReader]:
        """The layers of a file that it was trained on, by their names. Raises WrongFile if one is missing."""
        missing = [name for name in self.head["layers"] if name not in source.layers]
        if missing:
            raise WrongFile(f"{source.path} should have the layers of {self.path}. Found: no layer {missing[0]}.")
        return [source.layers[name] for name in self.head["layers"]]

    def layers_of(self, source: Reader) -> list[LayerReader]:
        """The same. Raises WrongFile if they are not made like those that it was trained on."""
        layers = self.named(source)
        widths = [layer.features for layer in layers]
        words = ("here", "there")
        apart = differences(comparable(self.head["made_from"]), comparable(source.settings), words)
        if self.fitted is None and not apart:
            apart += differences(moments_of(self.head["sources"]), moments_of(source.sources), words)
        if widths != self.head["layer_features"] or apart:
            raise WrongFile(
                f"{source.path} should have features made like those that {self.path} was trained on. Found:\n  "
                + "\n  ".join(apart or [f"{sum(widths):,} features instead of {sum(self.head['layer_features']):,}"])
                + (
                    "\nMake the codes with the moments of the training images."
                    if apart and apart[0].startswith("moments")
                    else ""
                )
            )
        return layers

    def sources(self, source: Reader) -> list[dict[str, str]]:
        """What outputs are made from that say what it thinks of a file: the file, and its arrays."""
        content = hashlib.sha256()
        for name in sorted(self.arrays):
            content.update(self.arrays[name].tobytes())
        return [
            {"kind": source.kind, "fingerprint": source.fingerprint},
            {"kind": "model", "fingerprint": content.hexdigest()},
        ]

    def origin_sources(self, source: Reader) -> list[dict[str, str]]:
        """The same for an Origin: the classifier as one, with all that its head says."""
        own, model = self.sources(source)
        return [own, {"kind": "classifier", "fingerprint": fingerprint("classifier", self.head, model)}]
