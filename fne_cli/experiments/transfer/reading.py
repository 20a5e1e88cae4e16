"""Reading CONFIG.toml of `fne transfer`; errors name what stands there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.experiments.transfer.config import (
    COURSE,
    DATASET,
    HOW,
    NETWORK,
    SETTINGS,
    SOURCE,
    TREATMENTS,
    Division,
    Transfer,
    TransferExperiment,
)
from fne_cli.experiments.written.config import OWN, Options, Table, Value
from fne_cli.experiments.written.tables import NAME, Checked, overridden

_TABLES = ("experiment", "datasets", "networks", "train", "transfer", "divisions", "sources")
_OWN = {
    "experiment": OWN["experiment"],
    "datasets": ("images",),
    "transfer": SETTINGS,
    "divisions": ("a", "b"),
    "sources": ("classes",),
}
_LISTS_OF_NUMBERS = {"copied": 1, "few": 1, "few_copied": 1, "seeds": 0}
"""The least that may stand in each."""
_COUNTS = {"halves": 0, "few_epochs": 1, "classes": 2}
_MOST = 1_000_000


def read_transfer(path: Path, overrides: Sequence[str], options: Options) -> TransferExperiment:
    """The experiment that a file describes, with TABLE.KEY=VALUE of `--set` over it. Raises BadInput."""
    tables, origins = overridden(path, overrides)
    return _Reader(path, origins, options).transfer(tables)


class _Reader(Checked):
    """Reads the tables of `fne transfer`."""

    def transfer(self, tables: dict[str, Any]) -> TransferExperiment:
        if "transfer" not in tables:
            raise self.wrong("", "should have a table [transfer]. Found: none; other experiments are for fne run")
        for name, table in tables.items():
            if name not in _TABLES:
                near = difflib.get_close_matches(name, _TABLES, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_TABLES)}."
                raise self.wrong("", f"has the unknown table {name!r}. {hint}", name)
            if not isinstance(table, dict):
                raise self.wrong("", f"should have {name} as a table, [{name}]. Found: {table!r}")
        own = self.experiment_table(tables)
        datasets = self._tables("datasets", tables, DATASET, "images")
        networks = self._tables("networks", tables, NETWORK, "model")
        train = self.table("train", ("train",), tables.get("train", {}), "train", (*COURSE, *HOW))
        settings = self.table("transfer", (), tables["transfer"], "train", ())
        if "copied" not in settings:
            raise self.wrong("transfer", "should have copied, numbers of weight layers such as [2, 4, 6]. Found: none")
        written = self._tables("divisions", tables, (), "a")
        sources = self._tables("sources", tables, SOURCE, None)
        transfer = Transfer.of(settings)
        if not written and not transfer.halves:
            raise self.wrong("transfer", "should have halves = 3, or there should be a table [divisions.NAME] at least")
        for key, needed in (("few_copied", transfer.few), ("few_epochs", transfer.few)):
            if key in settings and not needed:
                raise self.wrong("transfer", f"has {key}, which goes with few. Found: no few", key)
        if sources and not {"AnB", "AnB+"} & set(transfer.treatments):
            raise self.wrong("transfer", "should have the treatments AnB or AnB+, as there are [sources]", "treatments")
        divisions = tuple(
            Division(name, table["a"].value, table["b"].value if "b" in table else ())
            for name, table in written.items()
        )
        named = {f"divisions.{name}": table for name, table in written.items()}
        return TransferExperiment(
            self.path, own, datasets, networks, train, settings, transfer, divisions, sources, self._options, named
        )

    def own_keys(self, kind: str) -> tuple[str, ...]:
        """Keys of a table that `fne train` does not have."""
        return _OWN.get(kind, ())

    def own_value(self, key: str, raw: Any, where: str) -> Any:
        """The value of one of them. Raises ValueError."""
        if key in _LISTS_OF_NUMBERS:
            return _numbers(raw, _LISTS_OF_NUMBERS[key])
        if key in _COUNTS:
            if type(raw) is not int or not _COUNTS[key] <= raw <= _MOST:
                raise ValueError(f"should be a whole number of at least {_COUNTS[key]}, found {raw!r}")
            return raw
        if key == "both_ways":
            if not isinstance(raw, bool):
                raise ValueError(f"should be true or false, found {raw!r}")
            return raw
        if key == "treatments":
            return _treatments(raw)
        if key in ("a", "b"):
            if not isinstance(raw, list) or not raw or not all(isinstance(one, str) and one for one in raw):
                raise ValueError(f"should be a list of names of classes, found {raw!r}")
            return tuple(raw)
        return super().own_value(key, raw, where)

    def experiment_table(self, tables: Mapping[str, Any]) -> Table:
        """Name and output of the experiment."""
        own = self.table("experiment", (), tables.get("experiment", {}), "", ())
        name = own.setdefault("name", Value(self.path.stem, "default")).value
        if "output" not in own and ("/" in name or os.sep in name):
            raise self.wrong("experiment", f"should have an output, as no folder can be called {name!r}", "name")
        own.setdefault("output", Value(f"{name}-results", "default"))
        return own

    def _tables(
        self, kind: str, tables: Mapping[str, Any], permitted: Sequence[str], needed: str | None
    ) -> dict[str, Table]:
        """The tables [KIND.NAME], each with the key that is `needed`."""
        given = tables.get(kind, {})
        if not given and kind in ("datasets", "networks"):
            raise self.wrong("", f"should have a table [{kind}.NAME] at least. Found: none")
        found: dict[str, Table] = {}
        for name, table in given.items():
            where = f"{kind}.{name}"
            if not NAME.fullmatch(name):
                raise self.wrong(where, "should have a name of at most 60 letters, digits, _ and -, as it names files")
            if not isinstance(table, dict):
                raise self.wrong("", f"should have tables [{kind}.NAME]. Found: {name} = {table!r} in [{kind}]", where)
            found[name] = self.table(kind, (kind, name), table, "train", permitted)
            if needed is not None and needed not in found[name]:
                raise self.wrong(where, f"should have {needed}. Found: none")
        return found


def _numbers(raw: Any, least: int) -> tuple[int, ...]:
    if not isinstance(raw, list) or not raw or not all(type(one) is int and least <= one <= _MOST for one in raw):
        raise ValueError(f"should be a list of whole numbers of at least {least}, found {raw!r}")
    if len(set(raw)) < len(raw):
        raise ValueError(f"should have every number once, found {raw!r}")
    return tuple(raw)


def _treatments(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not raw or not all(one in TREATMENTS for one in raw):
        raise ValueError(f"should be a list of some of {', '.join(TREATMENTS)}, found {raw!r}")
    return tuple(one for one in TREATMENTS if one in raw)
