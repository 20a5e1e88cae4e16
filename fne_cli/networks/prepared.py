"""A network made ready by a recipe, as a source of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fne_cli.errors import WrongOptions
from fne_cli.networks import backend, described
from fne_cli.networks.recipe import Recipe
from fne_cli.networks.running.extractor import Extractor, device_name
from fne_cli.networks.tapping import pooling, taps
from fne_cli.networks.weights import Network, open_network


@dataclass(frozen=True)
class Prepared:
    """A recipe's network with its taps and the pooling of each."""

    recipe: Recipe
    network: Network
    taps: list[taps.Tap]
    poolings: list[pooling.Pooling]
    # Not of a copy: another recipe needs another function.
    _compiled: list[Extractor] = field(default_factory=list, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, recipe: Recipe) -> Prepared:
        """Build the network and choose its taps. Raises BadInput."""
        computes = backend.load_keras().backend.backend()
        if recipe.xla and computes != "tensorflow":
            raise WrongOptions(
                f"--xla should have TensorFlow. Found: KERAS_BACKEND={computes}. Leave --xla out: JAX always has XLA, "
                "and PyTorch never."
            )
        precision = recipe.precision
        assert precision != "auto", "to be chosen before"
        network = open_network(
            recipe.model, recipe.weights, recipe.seed, recipe.preprocess, recipe.image_size, precision
        )
        tapped = taps.select(network.taps(), recipe.layers)
        return cls(recipe, network, tapped, pooling.pooling_of(tapped, recipe.pool))

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages whose versions the file names."""
        return ("keras", *(["keras-hub"] if self.network.is_hub else []), *backend.packages(), "pillow")

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.network.height, self.network.width

    def notes(self) -> list[str]:
        """What a person should know before it begins; who has chosen layers knows what is left out."""
        left = [] if self.recipe.layers else self.network.left_out()
        return [*self.network.notes, *([f"left out: {taps.in_one_line(left)}"] if left else [])]

    def device(self) -> str:
        """The accelerator that the network runs on, or the processor."""
        return device_name()

    def settings(self) -> dict[str, Any]:
        """What determines the numbers, as the file stores it."""
        network = self.network
        own = {
            "network": network.name,
            "weights": network.weights,
            "weights_sha256": network.weights_sha256(),
            "preprocess": network.preprocess,
        }
        return own | described.settings(self.recipe, self.image_size, self.taps, self.poolings)

    def columns(self) -> list[tuple[str, tuple[int, ...], dict[str, str]]]:
        """Name, shape of one row, and description of each tapped layer."""
        return described.columns(self.taps, self.poolings)

    def extractor(self, note: Callable[[str], None]) -> Extractor:
        """The function, compiled once; `note` is told if it has to shrink its batch."""
        if not self._compiled:
            rows, xla = self.recipe.batch_rows, self.recipe.xla
            self._compiled.append(Extractor(self.network, self.taps, self.poolings, rows, xla, note))
        self._compiled[0].note = note
        return self._compiled[0]
