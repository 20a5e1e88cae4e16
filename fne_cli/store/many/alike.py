"""Whether several files of activations, or of codes, can be read as one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.reader import Reader
from fne_cli.store.format.schema import BOTH, differences, shard_of, without_shard
from fne_cli.store.format.text import canonical_json

_BLOCK = 1 << 14  # paths in memory at once


class MissingShards(WrongFile):
    """Not all shards of an extraction are there."""


def check_complete(files: Sequence[Reader]) -> None:
    """Raise WrongFile if the files are not all shards of one extraction, MissingShards if only some are there."""
    by_number: dict[int, Reader] = {}
    for file in files:
        shard = file.settings.get("shard")
        if shard is None:
            raise WrongFile(f"{file.path} should be a shard (fne extract --shard I/N). Found: a whole extraction.")
        if shard["number"] in by_number:
            raise WrongFile(
                f"{file.path} should be another shard than {by_number[shard['number']].path}. "
                f"Found: both are {shard['number']}/{shard['of']}."
            )
        by_number[shard["number"]] = file
    first, *others = files
    for other in others:
        if apart := differences(comparable(first), comparable(other), BOTH):
            raise WrongFile(
                f"{other.path} should be made like {first.path} (here). Found:\n  "
                + "\n  ".join(apart)
                + "\nExtract that shard again with the settings of the others."
            )
    count = first.settings["shard"]["of"]
    absent = list(islice((number for number in range(1, count + 1) if number not in by_number), 6))
    if absent:
        names = ", ".join(f"{number}/{count}" for number in absent[:5])
        raise MissingShards(f"There should be {count} shards. Missing: {names}{' ...' if len(absent) > 5 else ''}.")


def comparable(shard: Reader) -> dict[str, Any]:
    """What two shards of one extraction have in common."""
    own = {name: value for name, value in shard.settings["shard"].items() if name != "number"}
    return {
        **shard.settings,
        "shard": own,
        "classes": shard.class_names(),
        "label": list(shard.column("images/label", 0, 0).shape[1:]),
        "rows": {name: [list(layer.shape[1:]), str(layer.dtype)] for name, layer in shard.layers.items()},
        "software": shard.software,
    }


def beside_activations(file: Reader) -> list[Any]:
    """What else than activations a file was made of: the moments, maybe the thresholds, of codes."""
    return [source for source in file.sources if not isinstance(source, dict) or source.get("kind") != "activations"]


def check_alike(first: Reader, other: Reader) -> None:
    """Raise WrongFile if `other` is not of the same kind, network, layers, preprocessing and, if of codes, moments."""
    if other.kind != first.kind:
        raise WrongFile(f"{other.path} should be an fne {first.kind} file like {first.path}. Found: kind={other.kind}.")
    apart = differences(without_shard(first.settings), without_shard(other.settings), BOTH)
    if beside_activations(first) != beside_activations(other):
        apart.append("sources: other moments or thresholds")
    label = [file.column("images/label", 0, 0).ndim for file in (first, other)]
    if label[0] != label[1]:
        apart.append("labels: one per image in one file, several in the other")
    if apart:
        raise WrongFile(
            f"{other.path} (there) should be made like {first.path} (here). Found:\n  "
            + "\n  ".join(apart)
            + "\nFiles that are read as one need the same network, layers and preprocessing"
            + (", moments, thresholds and packing." if first.kind == "codes" else ".")
        )


def in_shard_order(files: Sequence[Reader]) -> list[Reader] | None:
    """The files in the order of their shard numbers if they are all shards of one extraction, else None."""
    shards = [shard_of(file.settings) for file in files]
    if len(files) < 2 or not all(
        isinstance(shard, dict) and {"number", "of", "images"} <= set(shard) for shard in shards
    ):
        return None
    table = {shard["number"]: file for shard, file in zip(shards, files, strict=True) if shard}
    others = [{name: value for name, value in shard.items() if name != "number"} for shard in shards if shard]
    count, total = others[0]["of"], others[0]["images"]
    if any(other != others[0] for other in others) or set(table) != set(range(1, len(files) + 1)):
        return None
    ordered = [table[number] for number in sorted(table)]
    if count != len(files) or not isinstance(total, int):
        return None
    sizes = [file.length("images/status") for file in ordered]
    return ordered if sizes == [-(-(total - number) // count) for number in range(count)] else None


def absent_shards(files: Sequence[Reader]) -> str:
    """What to tell a user who gives some shards of an extraction and not all; "" if there is nothing to tell."""
    extractions: dict[str, tuple[int, set[int]]] = {}
    for file in files:
        if isinstance(shard := shard_of(file.settings), dict):
            one = canonical_json({name: value for name, value in shard.items() if name != "number"})
            extractions.setdefault(one, (shard["of"], set()))[1].add(shard["number"])
    said = []
    for count, there in extractions.values():
        absent = list(islice((number for number in range(1, count + 1) if number not in there), 4))
        if absent:
            named = ", ".join(f"{number}/{count}" for number in absent[:3]) + (", ..." if len(absent) > 3 else "")
            said.append(f"{count - len(there):,} of {count:,} shards missing ({named}): their images are left out")
    return "; ".join(said)


_TYPES = {"codes": ("int8",)}


def alike_layer(file: Reader, name: str, like: LayerReader) -> LayerReader:
    """The layer of this name if it has a type of its kind (activations: float32, float16), and rows like `like`."""
    layer, types = file.layers.get(name), _TYPES.get(file.kind, ("float32", "float16"))
    if layer is None or layer.shape[1:] != like.shape[1:] or layer.dtype.name not in types:
        found = "none" if layer is None else f"{layer.dtype} of {layer.shape[1:]}"
        raise DamagedFile(
            f"{file.path} should have a layer {name} of {' or '.join(types)}, {like.shape[1:]} a row. Found: {found}."
        )
    return layer


def _hashes(file: Reader, count: int) -> np.ndarray:
    result = np.empty(count, np.uint64)
    for start in range(0, count, _BLOCK):
        paths = file.column("images/path", start, start + _BLOCK).tolist()
        digest = b"".join(hashlib.blake2b(path, digest_size=8).digest() for path in paths)
        result[start : start + len(paths)] = np.frombuffer(digest, np.uint64)
    return result


def check_distinct(files: Sequence[Reader], counts: Sequence[int]) -> None:
    """Raise BadInput if an image stands in two of the files, or twice in one.

    Compares 8 bytes of hash of each path, then those paths that agree: ten million images take 80 MB.
    """
    hashes = np.concatenate([_hashes(file, count) for file, count in zip(files, counts, strict=True)])
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    seen: dict[bytes, Path] = {}
    for place in np.flatnonzero(np.isin(hashes, repeated)).tolist():
        number = int(np.searchsorted(np.cumsum(counts), place, side="right"))
        own = place - sum(counts[:number])
        path = files[number].column("images/path", own, own + 1).tolist()[0]
        if path in seen:
            raise BadInput(
                f"Every image should be in one of the files. Found: {path.decode(errors='replace')} in "
                f"{seen[path]} and in {files[number].path}."
            )
        seen[path] = files[number].path
