"""What determines the numbers of an extraction, apart from the images: the options of `fne extract`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fne_cli.networks.catalog import Precision, known_name
from fne_cli.networks.kinds import is_onnx


@dataclass(frozen=True)
class Recipe:
    """The options of `fne extract` that change its result; docs/cli.md describes them."""

    model: str = "vgg16"
    weights: str | None = None
    seed: int = 0
    preprocess: str | None = None
    image_size: tuple[int, int] | None = None
    layers: Sequence[str] = ()
    pool: Sequence[str] = ()
    resize: Literal["squash", "crop"] = "squash"
    crops: Literal[1, 5, 10] = 1
    box_context: float = 1.0
    decode: Literal["full", "reduced"] = "full"
    batch_size: int = 16
    precision: Precision | Literal["auto"] = "float32"
    xla: bool = False
    dtype: Literal["float32", "float16"] = "float32"

    @property
    def images_per_batch(self) -> int:
        """Whole images in a batch of about `batch_size` rows."""
        return max(1, self.batch_size // self.crops)

    @property
    def batch_rows(self) -> int:
        """Rows of the batch that goes through the network."""
        return self.images_per_batch * self.crops

    def as_dict(self) -> dict[str, Any]:
        """The options by name; `decode` only where it is not as it always was before there was a choice."""
        options = asdict(self)
        if self.decode == "full":
            del options["decode"]
        return options

    @classmethod
    def of_dict(cls, options: Mapping[str, Any]) -> Recipe:
        """The same again, also after a journey through JSON."""
        size = options["image_size"]
        lists = {name: tuple(options[name]) for name in ("layers", "pool")}
        return cls(**{**options, **lists, "image_size": tuple(size) if size else None})

    def stored(self) -> dict[str, Any]:
        """Of the settings that a file stores, those that no network is needed for."""
        named = known_name(self.model)
        return {**({} if named is None else {"network": named}), **self.numeric()}

    def numeric(self) -> dict[str, Any]:
        """The options that any source stores, as they change numbers.

        `decode` is stored only if it is `reduced`: files of full decoding have the bytes that they always had.
        """
        names = ("resize", "crops", "box_context", "batch_rows", "precision", "xla", "dtype")
        reduced = {} if self.decode == "full" else {"decode": self.decode}
        return {name: getattr(self, name) for name in names} | reduced

    def files(self) -> list[str]:
        """The files that it names, with what an ONNX file has beside it."""
        named = [name for name in (self.model, self.weights or "") if os.path.isfile(name)]
        if os.path.isdir(self.model):
            from fne_cli.networks.hub.preset import files_of, is_preset

            named = [*(files_of(self.model) if is_preset(self.model) else []), *named]
        if is_onnx(self.model) and named:
            from fne_cli.networks.onnx.metadata import beside
            from fne_cli.networks.onnx.reading import external_files

            says = beside(self.model) if self.preprocess is None else None
            named += [*external_files(self.model), *([says] if says else [])]
        return named

    def absolute(self) -> Recipe:
        """The same for whoever stands in another folder."""
        model, weights = self.model, self.weights
        return replace(
            self,
            model=os.path.abspath(model) if known_name(model) is None else model,
            weights=os.path.abspath(weights) if weights and weights.lower().endswith((".h5", ".hdf5")) else weights,
        )
