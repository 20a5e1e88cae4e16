"""Reading CONFIG.toml of `fne run`, with the overrides of the command line; errors name what stands there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fne_cli.errors import BadInput
from fne_cli.experiments.varied.factors import Factors
from fne_cli.experiments.varied.factors import read as read_factor
from fne_cli.experiments.written.config import (
    COMMANDS,
    DATA,
    DEFAULTS,
    NAMED,
    SPLIT,
    Experiment,
    Options,
    Table,
    Value,
    without,
)
from fne_cli.experiments.written.tables import NAME, SPELLED, Checked, nearest, overridden
from fne_cli.numerics.classifiers import foreign


def read_experiment(path: Path, overrides: Sequence[str], options: Options) -> Experiment:
    """The experiment that a file describes, with TABLE.KEY=VALUE of `--set` over it. Raises BadInput."""
    tables, origins = overridden(path, overrides)
    return _Experiment(path, origins, options).experiment(tables)


class _Experiment(Checked):
    """Reads the tables of `fne run`."""

    def experiment(self, tables: dict[str, Any]) -> Experiment:
        if "transfer" in tables:
            raise self.wrong("", f"is an experiment of fne transfer. Type: fne transfer {self.path}", "transfer")
        known = ["experiment", *NAMED, "factors", *COMMANDS]
        for name, table in tables.items():
            if name not in known:
                raise self.wrong("", f"has the unknown table {name!r}. {nearest(name, known)}", name)
            if not isinstance(table, dict):
                raise self.wrong("", f"should have {name} as a table, [{name}]. Found: {table!r}")
        own = self.table("experiment", (), tables.get("experiment", {}), "", ())
        name = own.setdefault("name", Value(self.path.stem, "default")).value
        if "output" not in own and ("/" in name or os.sep in name):
            raise self.wrong("experiment", f"should have an output, as no folder can be called {name!r}", "name")
        own.setdefault("output", Value(f"{name}-results", "default"))
        varied = self.table("factors", (), tables["factors"], "", ()) if "factors" in tables else {}
        factors = self._factors(varied, tables) if "factors" in tables else None
        named = {
            kind: {} if factors is not None and kind in DEFAULTS else self._named(kind, tables.get(kind, {}))
            for kind in NAMED
        }
        commands = {
            command: self.table(command, (command,), tables[command], command, keys)
            for command, keys in COMMANDS.items()
            if command in tables
        }
        found = Experiment(self.path, own, named, commands, self._options, factors, varied)
        self._check_classifiers(found)
        self._check_projections(named)
        for name in named["tunings"]:
            if name in named["embeddings"]:
                raise self.wrong(f"tunings.{name}", "should have another name: an embedding is called so")
        return found

    def _check_projections(self, named: Mapping[str, Mapping[str, Table]]) -> None:
        """Embeddings name projections that there are, these datasets, and tunings networks."""
        for kind, key, wanted in (
            ("embeddings", "projection", "projections"),
            ("projections", "dataset", "datasets"),
            ("tunings", "network", "networks"),
        ):
            for name, table in named[kind].items():
                if key in table and table[key].value not in named[wanted]:
                    said = f"should be one of [{wanted}.NAME]. Found: {table[key].value!r}"
                    known = nearest(table[key].value, named[wanted]) if named[wanted] else "There are none."
                    raise self.wrong(f"{kind}.{name}", f"{key} {said}. {known}", key)

    def _factors(self, varied: Table, tables: Mapping[str, Any]) -> Factors:
        for kind in DEFAULTS:
            if tables.get(kind):
                raise self.wrong("factors", f"stands in the place of [{kind}.NAME]. Found: both. Leave one out", kind)
        try:
            return Factors.of(varied)
        except BadInput as error:
            raise BadInput(f"{self.path}: {error}") from error

    def _check_classifiers(self, experiment: Experiment) -> None:
        """No protocol has options of another classifier, nor [evaluate] those of one that no protocol has."""
        protocols, evaluate = experiment.named["protocols"], experiment.commands.get("evaluate", {})
        used = {name: experiment.classifier(table) for name, table in protocols.items()}
        varied = set() if experiment.factors is None else set(experiment.factors.values["classifier"])
        tables = [(f"protocols.{name}", protocols[name], {classifier}) for name, classifier in used.items()]
        for where, table, classifiers in [*tables, ("evaluate", evaluate, set(used.values()) | varied)]:
            strange = [foreign(classifier) for classifier in classifiers]
            for key in table:
                if all(key in options for options in strange):
                    spelled = "C" if key == "cost" else key
                    raise self.wrong(
                        where,
                        f"has {spelled}, which only the classifier {strange[0][key]} takes. Found: the classifier "
                        f"{' and '.join(sorted(classifiers))}",
                        spelled,
                    )

    def _named(self, kind: str, tables: dict[str, Any]) -> dict[str, Table]:
        if not tables and kind in DEFAULTS:
            tables = DEFAULTS[kind]
        if not tables and kind not in DEFAULTS:
            raise self.wrong("", f"should have a table [{kind}.NAME] at least. Found: none")
        command, keys = NAMED[kind]
        found: dict[str, Table] = {}
        for name, table in tables.items():
            where = f"{kind}.{name}"
            if not NAME.fullmatch(name):
                raise self.wrong(where, "should have a name of at most 60 letters, digits, _ and -, as it names files")
            if not isinstance(table, dict):
                raise self.wrong("", f"should have tables [{kind}.NAME]. Found: {name} = {table!r} in [{kind}]", where)
            found[name] = self.table(kind, (kind, name), table, command, keys)
            self._complete(kind, where, name, found)
        return found

    def _complete(self, kind: str, where: str, name: str, found: dict[str, Table]) -> None:
        table = found[name]
        missing = {"datasets": ("images", "sample"), "networks": ("model",)}.get(kind, ())
        if missing and not any(key in table for key in missing):
            others = [other for other in found if other != name]
            near = f" {nearest(name, others)}" if others else ""
            raise self.wrong(where, f"should have {' or '.join(missing)}. Found: none.{near}")
        if kind == "datasets" and "images" in table and "sample" in table:
            raise self.wrong(where, "should have images or sample. Found: both")
        if kind == "protocols" and "cv" in table and ("per_class" in table or "split" in table):
            raise self.wrong(where, "should have cv, or per_class and split. Found: cv with others")
        if kind == "protocols" and "rows" in table and "cv" not in table:
            raise self.wrong(where, "should have cv, as rows says which images it divides. Found: rows alone")
        if kind in ("embeddings", "tunings") and name == "layers":
            raise self.wrong(where, "should have another name: layers stands for every single layer")
        if kind == "embeddings":
            self._complete_embedding(where, table)

    def _complete_embedding(self, where: str, table: Table) -> None:
        recipe = table.get("recipe", Value(None, "")).value
        projection = table.get("projection", Value(None, "")).value
        for key in without(recipe, table.get("embedding", Value("fne", "")).value, projection):
            if key in table:
                said = {
                    "recipe": "in the place of which the projection stands",
                    "layers": "which the projection says",
                    "embedding": f"which the {'recipe' if projection is None else 'projection'} says",
                    "thresholds": "which only the embedding fne takes",
                    "budget": 'which only the recipe "auto" takes',
                }
                raise self.wrong(where, f"has {key}, {said[key]}", key)

    def read_option(self, command: str, kind: str, key: str, raw: Any) -> Any:
        """The value of an option of a command, in a table of a kind. Raises ValueError."""
        if kind == "embeddings" and key == "thresholds" and raw == DATA:
            return DATA
        return super().read_option(command, kind, key, raw)

    def own_value(self, key: str, raw: Any, where: str) -> Any:
        """The value of a key that no command has. Raises ValueError."""
        if where == "factors":
            return read_factor(key, raw, self._options)
        if key == "single_layers":
            if not isinstance(raw, bool):
                raise ValueError(f"should be true or false, found {raw!r}")
            return raw
        if key == "sample":
            if raw != "digits":
                raise ValueError(f"should be digits, found {raw!r}")
            return raw
        if key == "split" and isinstance(raw, dict | list):
            return self._splits(raw, where)
        text = super().own_value(key, raw, where)
        if key == "split" and where.startswith("datasets."):
            raise ValueError(f"should be a table of what fne split takes, found {raw!r}")
        return text

    def _splits(self, raw: dict[str, Any] | list[Any], where: str) -> tuple[dict[str, Any], ...]:
        """What fne split is told, for each of the splits."""
        several = isinstance(raw, list)
        if several and where.startswith("datasets."):
            raise ValueError("should be one split; several stand in a protocol")
        tables = raw if isinstance(raw, list) else [raw]
        found = []
        for table in tables:
            if not isinstance(table, dict) or not table:
                raise ValueError(f"should be tables of what fne split takes, found {table!r}")
            values = {}
            for spelled, entry in table.items():
                key = SPELLED.get(spelled, spelled.replace("-", "_"))
                if key not in SPLIT:
                    raise ValueError(f"unknown key {spelled!r}. {nearest(key, SPLIT)}")
                if key == "lists":
                    if not isinstance(entry, dict) or not all(isinstance(file, str) for file in entry.values()):
                        raise ValueError(f"list should be such as {{train = FILE, test = FILE}}, found {entry!r}")
                    read = self._options["split"][key].read
                    values[key] = tuple(read(f"{split}={file}") for split, file in entry.items())
                else:
                    values[key] = self._options["split"][key].read(entry)
            found.append(values)
        if not found:
            raise ValueError("should have one split at least, found none")
        return tuple(found)
