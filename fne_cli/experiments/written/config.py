"""CONFIG.toml of `fne run`: what may stand in it. Every value knows where it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fne_cli.numerics.classifiers import foreign
from fne_cli.steps.embeddings import takes_thresholds

if TYPE_CHECKING:
    from fne_cli.experiments.varied.factors import Factors

_DATASET = ("root", "label_column", "max_bad", "box_context", "max_pixels")
_NETWORK = ("weights", "seed", "preprocess", "image_size", "layers", "batch_size", "precision", "xla", "dtype")
_POOLING = ("pool", "resize", "crops", "decode")
_EMBEDDING = ("embedding", "recipe", "budget", "layers", "thresholds")
_PROJECTION = ("components", "embedding", "whiten", "exponent", "within", "lda", "power", "rows", "layers")
_CLASSIFIER = (
    "classifier",
    "cost",
    "relative_cost",
    "penalty",
    "shrinkage",
    "temperature",
    "aggregate",
    "solver",
    "tolerance",
    "seed",
)
_PROTOCOL = ("cv", "rows", "per_class", "draws", "without_leaks", *_CLASSIFIER)
_TUNED = ("model", "weights", "preprocess", "image_size", "resize", "precision")
_LEARNING = (
    "learn",
    "scratch",
    "head",
    "cost",
    "epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "schedule",
    "label_smoothing",
    "augment",
)
FACTORS = ("layers", "pool", "crops", "values", "l2", "pca", "whiten", "classifier", "cost")
"""Keys of [factors]: a list of values each, of which the first is the standard."""

VALIDATION = 0.2
"""The share of the training images by which settings are chosen where there is no split val."""

SPLIT = ("lists", "per_class", "test", "val", "voc", "seed")

NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "datasets": ("extract", _DATASET),
    "networks": ("extract", ("model", *_NETWORK)),
    "poolings": ("extract", _POOLING),
    "projections": ("reduce", _PROJECTION),
    "embeddings": ("evaluate", _EMBEDDING),
    "tunings": ("tune", (*_LEARNING, *_TUNED)),
    "protocols": ("evaluate", _PROTOCOL),
}
"""Tables of tables, one for each thing that is compared: the command whose options it may have, and which of them."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "extract": tuple(
        sorted(
            {*_DATASET, *_NETWORK, *_POOLING, "workers", "decode_memory"}
            - {"root", "label_column", "layers", "weights"}
        )
    ),
    "normalize": ("rows", "batch_size"),
    "discretize": ("packed", "batch_size"),
    "analyze": ("rows", "random_classes", "seed", "alpha", "fdr", "memory"),
    "reduce": ("rows", "memory"),
    "rank": ("neighbours", "seed", "memory"),
    "evaluate": (*_CLASSIFIER, "draws", "without_leaks", "memory"),
    "tune": (*_LEARNING, "workers", "memory", "cache"),
}
"""Tables with options for all runs of a command; what a table above says wins over them."""

OWN = {
    "experiment": ("name", "output"),
    "datasets": ("images", "sample", "split"),
    "projections": ("dataset",),
    "embeddings": ("projection",),
    "tunings": ("network",),
    "protocols": ("split", "single_layers"),
    "factors": (*FACTORS, "validation"),
}
"""Keys of a table that no command has."""

USUAL: dict[str, dict[str, Any]] = {"embeddings": {"embedding": "fne"}, "protocols": {"single_layers": True}}
"""Defaults that are the experiment's own."""

FIGURES = ("mean_per_class_accuracy", "mean_average_precision")
"""What a result is judged by: the first that it has."""

DATA = "data"
"""Thresholds that fne analyze finds in the training images."""

DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "poolings": {"avg": {}},
    "projections": {},
    "tunings": {},
    "embeddings": {"fne": {}},
    "protocols": {"split": {}},
}


def without(recipe: str | None, embedding: str, projection: str | None = None) -> Iterator[str]:
    """What an embedding of an experiment does not have: a recipe or projection says which, and few take thresholds."""
    if projection is not None:
        yield from ("recipe", "layers")
    if recipe is not None or projection is not None:
        yield "embedding"
    if recipe is not None or projection is not None or not takes_thresholds(embedding):
        yield "thresholds"
    if recipe != "auto":
        yield "budget"


def foreign_to(scratch: bool, head: str | None) -> tuple[str, ...]:
    """What a tuning does not have, though [tune] may have it for another one."""
    if scratch:
        return ("learn", "cost")
    return ("cost",) if head == "random" else ()


@dataclass(frozen=True)
class Option:
    """An option of a command. read: from TOML or text to the value a step takes; raises ValueError."""

    read: Callable[[Any], Any]
    default: Any
    flag: str


Options = Mapping[str, Mapping[str, Option]]
"""By command and name of the parameter."""


@dataclass(frozen=True)
class Value:
    """A value as the steps take it, and where it came from."""

    value: Any
    origin: str


Table = dict[str, Value]


def _absent(kind: str, table: Table, values: Table) -> Iterator[str]:
    """What a table of some kind does not have, of all that the command has. values: with defaults."""
    if kind == "embeddings":
        projection = table.get("projection", Value(None, "")).value
        yield from without(values["recipe"].value, values["embedding"].value, projection)
    if kind == "tunings":  # a network has the rest, or other tunings
        foreigners = (*_TUNED, *foreign_to(values["scratch"].value, values["head"].value))
        yield from (key for key in foreigners if key not in table)
    if kind == "protocols":
        yield from foreign(values["classifier"].value)


@dataclass(frozen=True)
class Experiment:
    """What is to be compared: datasets x networks x poolings x embeddings x protocols, each by its name.

    own: name and output. commands: options of all runs of a command. options: what the commands can be told. factors:
    in the place of poolings, embeddings and protocols; varied: what the file says of them.
    """

    path: Path
    own: Table
    named: dict[str, dict[str, Table]]
    commands: dict[str, Table]
    options: Options
    factors: Factors | None = None
    varied: Table = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the experiment is called."""
        return str(self.own["name"].value)

    @property
    def output(self) -> Path:
        """The folder that everything is written to."""
        return Path(self.own["output"].value)

    def given(self, command: str, *tables: Table) -> dict[str, Any]:
        """The options that were given for a command, later tables winning over earlier ones; the rest is default."""
        known = self.options[command]
        return {
            key: entry.value
            for table in (self.commands.get(command, {}), *tables)
            for key, entry in table.items()
            if key in known
        }

    def classifier(self, protocol: Table) -> str:
        """The classifier of a protocol."""
        usual = self.options["evaluate"]["classifier"].default
        return str(self.given("evaluate", protocol).get("classifier", usual))

    @property
    def _reduces(self) -> bool:
        return bool(self.named["projections"])

    def effective(self) -> Iterator[tuple[str, Table]]:
        """Every table with all its values, those by default among them."""
        yield "experiment", self.own
        for kind, (command, keys) in NAMED.items():
            for name, table in self.named[kind].items():
                shared = self.commands.get(command, {})
                values = {
                    key: table.get(key)
                    or (
                        Value(shared[key].value, f"[{command}], {shared[key].origin}")
                        if key in shared
                        else Value(self.options[command][key].default, "default")
                    )
                    for key in keys
                }
                for key, usual in USUAL.get(kind, {}).items():
                    if key not in table and (key not in values or values[key].value is None):
                        values[key] = Value(usual, "default")
                for key in _absent(kind, table, values):
                    values.pop(key)
                yield f"{kind}.{name}", {**{key: table[key] for key in table if key not in values}, **values}
        if self.factors is not None:
            origins = {key: entry.origin for key, entry in self.varied.items()}
            yield "factors", {key: Value(one, origins.get(key, "default")) for key, one in self.factors.plain.items()}
        for command, keys in COMMANDS.items():
            unused = {"rank": True, "reduce": not self._reduces, "tune": not self.named["tunings"]}
            if command not in self.commands and unused.get(command, False):
                continue  # nothing is ranked if the file does not have the table
            table = self.commands.get(command, {})
            elsewhere = {key for other, names in NAMED.values() if other == command for key in names}
            own = [key for key in keys if key in table or key not in elsewhere]
            yield (
                command,
                {key: table.get(key) or Value(self.options[command][key].default, "default") for key in own},
            )
