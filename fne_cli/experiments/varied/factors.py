"""[factors] of CONFIG.toml: what is varied, and the settings that all combinations come to."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.experiments.written.config import FACTORS, VALIDATION, Options, Table, Value
from fne_cli.numerics.classifiers import foreign
from fne_cli.steps.embeddings import spelled

CODES = "fne"  # of `values`: an embedding by itself, which has neither a length nor components
RAW = "raw"
_MOST = 5000  # settings
_COUNT = 1_000_000


@dataclass(frozen=True)
class Setting:
    """A value of every factor but the network. One that makes no difference has its standard value.

    layers: patterns, () for all. values: pieces, or raw or fne. cost: None for a classifier that has none.
    """

    layers: tuple[str, ...]
    pool: tuple[str, ...]
    crops: int
    values: str
    l2: bool
    pca: int
    whiten: bool
    classifier: str
    cost: float

    @property
    def embedding(self) -> str:
        """As fne evaluate --embedding takes it."""
        if self.values == CODES:
            return CODES
        pieces = [self.values] if self.values != RAW else []
        pieces += ["length"] if self.l2 else []
        pieces += [f"pca:{self.pca}"] if self.pca else []
        pieces += ["whiten"] if self.whiten and self.pca else []
        pieces += ["length"] if self.l2 and self.pca else []
        return spelled(",".join(pieces) or RAW)

    @property
    def has_cost(self) -> bool:
        """Whether the classifier depends on it."""
        return "cost" not in foreign(self.classifier)

    @property
    def applied(self) -> Mapping[str, bool]:
        """Of each factor, whether it makes a difference here."""
        reduced, free = self.pca > 0, self.values != CODES
        return {
            **dict.fromkeys(FACTORS, True),
            "l2": free,
            "pca": free,
            "whiten": free and reduced,
            "cost": self.has_cost,
        }

    def told(self, factor: str) -> str:
        """The value of a factor as a person reads it, "-" if it makes no difference."""
        return "-" if not self.applied[factor] else told(getattr(self, factor))


def told(value: Any) -> str:
    """A value of a factor, of TOML or of a setting, in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(value) or "all"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class Factors:
    """values: by factor, the first of each being the standard. share: of the training images, to choose by."""

    values: Mapping[str, tuple[Any, ...]]
    share: float

    @classmethod
    def of(cls, table: Table) -> Factors:
        """Of what [factors] says. Raises BadInput for too many combinations, and for factors that do nothing."""
        usual = {"layers": ((),), "pool": (("avg",),), "crops": (1,), "values": (RAW,), "l2": (True,), "pca": (0,),
                 "whiten": (False,), "classifier": ("svm",), "cost": (1.0,)}  # fmt: skip
        values = {factor: table.get(factor, Value(usual[factor], "")).value for factor in FACTORS}
        found = cls(values, float(table.get("validation", Value(VALIDATION, "")).value))
        if (count := math.prod(map(len, values.values()))) > _MOST:
            raise BadInput(f"[factors] should have at most {_MOST:,} combinations. Found: {count:,}.")
        free, reduced = any(one != CODES for one in values["values"]), any(values["pca"])
        needed = {
            "l2": (free, "values other than fne"),
            "pca": (free, "values other than fne"),
            "whiten": (free and reduced, "pca with a number of components, and values other than fne"),
            "cost": (any("cost" not in foreign(one) for one in values["classifier"]), "classifier svm or logistic"),
        }
        for factor, (there, what) in needed.items():
            if not there and values[factor] != usual[factor]:
                raise BadInput(
                    f"[factors] {factor} should go with {what}. Found: none, so that it would do nothing. Give one, or "
                    f"one value of {factor}, the default."
                )
        return found

    @property
    def standard(self) -> Setting:
        """The first value of every factor."""
        return self._plain([values[0] for values in self.values.values()])

    @property
    def settings(self) -> list[Setting]:
        """All, the standard first, each once; those of one pooling, and of one embedding, stand beside each other."""
        order = ("pool", "crops", "layers", "values", "l2", "pca", "whiten", "classifier", "cost")
        found: dict[Setting, None] = {}
        for chosen in itertools.product(*(self.values[factor] for factor in order)):
            named = dict(zip(order, chosen, strict=True))
            found[self._plain([named[factor] for factor in FACTORS])] = None
        return list(found)

    @property
    def plain(self) -> dict[str, Any]:
        """As [factors] has it."""
        layers = tuple(one or "all" for one in self.values["layers"])
        return {**self.values, "layers": layers, "validation": self.share}

    def _plain(self, chosen: Sequence[Any]) -> Setting:
        """The setting of these values, what makes no difference at its standard."""
        setting = Setting(*chosen)
        applied = setting.applied
        first = {factor: self.values[factor][0] for factor in FACTORS}
        return Setting(*(value if applied[name] else first[name] for name, value in zip(FACTORS, chosen, strict=True)))

    def name(self, setting: Setting) -> str:
        """Of the embedding, for names of files: letters, digits, _, - and dots."""
        layers = _named("layers", setting.layers, self.values["layers"])
        values = _named("values", setting.values, self.values["values"])
        parts = [layers, values]
        if setting.values != CODES:
            parts += ["l2"] if setting.l2 else []
            parts += [f"pca{setting.pca}"] if setting.pca else []
            parts += ["whiten"] if setting.pca and setting.whiten else []
        return "_".join(parts)

    def pooling(self, setting: Setting) -> str:
        """Of the extraction."""
        name = _named("pool", setting.pool, self.values["pool"])
        return name if setting.crops == 1 else f"{name}-crops{setting.crops}"


def classifier_name(setting: Setting) -> str:
    """For names of files."""
    name = setting.classifier.replace(":", "-")
    return f"{name}-C{setting.cost:g}" if setting.has_cost else name


def _named(factor: str, value: Any, values: Sequence[Any]) -> str:
    """A value for names of files: letters, digits and -; one whose name another has gets its number."""
    names = [re.sub(r"[^A-Za-z0-9]+", "-", told(one)).strip("-")[:24] or factor for one in values]
    place = values.index(value)
    return names[place] if names.count(names[place]) == 1 else f"{names[place]}-{place + 1}"


def read(factor: str, raw: Any, options: Options) -> Any:
    """What [factors] has of a factor, in the types of the steps. Raises ValueError."""
    if factor == "validation":
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw < 1:
            raise ValueError(f"should be a share of the training images such as 0.2, found {raw!r}")
        return float(raw)
    if not isinstance(raw, list) or not raw:
        raise ValueError(f"should be a list of values, the standard first, found {raw!r}")
    found = tuple(_value(factor, one, options) for one in raw)
    if len(set(found)) < len(found):
        raise ValueError(f"should have every value once, found {raw!r}")
    return found


def _value(factor: str, raw: Any, options: Options) -> Any:
    if factor in ("l2", "whiten"):
        if not isinstance(raw, bool):
            raise ValueError(f"should have true and false, found {raw!r}")
        return raw
    if factor == "pca":
        if type(raw) is not int or not 0 <= raw <= _COUNT:
            raise ValueError(f"should have numbers of components, 0 for all features, found {raw!r}")
        return raw
    if factor == "values":
        return _pieces(raw)
    if factor == "layers":
        return () if raw == "all" else options["extract"]["layers"].read(raw)
    if factor == "cost":
        costs = options["evaluate"]["cost"].read([raw] if isinstance(raw, int | float) else raw)
        if len(costs) != 1:
            raise ValueError(f"should have one number in every place, such as [1, 0.1], found {raw!r}")
        return costs[0]
    command = "evaluate" if factor == "classifier" else "extract"
    return options[command][factor].read(raw)


def _pieces(raw: Any) -> str:
    """What becomes of the values before everything else."""
    if not isinstance(raw, str):
        raise ValueError(f"should have pieces such as z,root,equal, or raw or fne, found {raw!r}")
    if raw in (RAW, CODES):
        return raw
    try:
        return spelled(f"{raw},length,pca:1").removesuffix(",length,pca:1")
    except BadInput as error:
        raise ValueError(
            f"should have pieces of values and layers such as z,root,equal, or raw or fne, found {raw!r}. {error}"
        ) from error
