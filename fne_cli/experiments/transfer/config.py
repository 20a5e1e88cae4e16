"""CONFIG.toml of `fne transfer`: what may stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fne_cli.experiments.written.config import Options, Table, Value

DATASET = ("judge", "root", "label_column", "max_bad", "max_pixels")
NETWORK = ("model", "preprocess", "image_size", "precision")
COURSE = (
    "epochs",
    "max_epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "schedule",
    "label_smoothing",
    "augment",
    "patience",
    "resize",
    "per_class",
    "val",
    "draw",
)
HOW = ("workers", "memory", "cache")
SOURCE = ("model", "epochs", "max_epochs", "learning_rate", "weight_decay", "augment", "per_class", "draw")
"""What another source may have of its own."""

BASE, RANDOM = "base", "random"
TREATMENTS = ("BnB", "BnB+", "AnB", "AnB+", RANDOM)
"""As Yosinski et al. call them: copied from a network of the same classes or of others, kept or (+) learning on; drawn
and kept."""

SETTINGS = (
    "copied",
    "treatments",
    "halves",
    "both_ways",
    "seeds",
    "few",
    "few_copied",
    "few_epochs",
)
_USUAL: dict[str, Any] = {
    "treatments": TREATMENTS,
    "halves": 0,
    "both_ways": True,
    "seeds": (0,),
    "few": (),
    "few_copied": None,
    "few_epochs": None,
}


@dataclass(frozen=True)
class Transfer:
    """What is to be trained; the keys of [transfer].

    copied: numbers of weight layers. treatments: some of TREATMENTS. halves: random divisions of the classes.
    both_ways: each half is the source once. seeds: of whole repetitions. few: numbers of training images of each class
    at which copied layers are compared with none, few_epochs long, at few_copied (default: all of copied).
    """

    copied: tuple[int, ...]
    treatments: tuple[str, ...] = TREATMENTS
    halves: int = 0
    both_ways: bool = True
    seeds: tuple[int, ...] = (0,)
    few: tuple[int, ...] = ()
    few_copied: tuple[int, ...] | None = None
    few_epochs: int | None = None

    @classmethod
    def of(cls, table: Table) -> Transfer:
        """Of what [transfer] says."""
        return cls(**{key: table[key].value for key in SETTINGS if key in table})


@dataclass(frozen=True)
class Division:
    """Classes in two parts, by name."""

    name: str
    a: tuple[str, ...]
    b: tuple[str, ...] = ()


@dataclass(frozen=True)
class TransferExperiment:
    """datasets x networks, divided, trained, copied. Tables know where their values came from.

    sources: other networks to copy from, by name; classes: how many of its half each learns, None for all.
    """

    path: Path
    own: Table
    datasets: Mapping[str, Table]
    networks: Mapping[str, Table]
    train: Table
    settings: Table
    transfer: Transfer
    divisions: tuple[Division, ...]
    sources: Mapping[str, Table]
    options: Options
    written: Mapping[str, Table] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the experiment is called."""
        return str(self.own["name"].value)

    @property
    def output(self) -> Path:
        """The folder that everything is written to."""
        return Path(self.own["output"].value)

    def effective(self) -> Iterator[tuple[str, Table]]:
        """Every table with all its values, those by default among them."""
        known = self.options["train"]
        yield "experiment", self.own
        for name, table in self.datasets.items():
            rest = {key: Value(known[key].default, "default") for key in DATASET if key not in table}
            yield f"datasets.{name}", {**table, **rest}
        for name, table in self.networks.items():
            rest = {key: Value(known[key].default, "default") for key in NETWORK if key not in table}
            yield f"networks.{name}", {**table, **rest}
        rest = {key: Value(known[key].default, "default") for key in (*COURSE, *HOW) if key not in self.train}
        if "patience" in rest:
            epochs = self.train["epochs"].value if "epochs" in self.train else known["epochs"].default
            rest["patience"] = Value(epochs, "default: all epochs, the weights of the best")
        yield "train", {**self.train, **rest}
        rest = {key: Value(_USUAL[key], "default") for key in SETTINGS if key not in self.settings}
        yield "transfer", {**self.settings, **rest}
        for division in self.divisions:
            yield f"divisions.{division.name}", self.written[f"divisions.{division.name}"]
        for name, table in self.sources.items():
            yield f"sources.{name}", table
