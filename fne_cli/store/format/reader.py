"""Reading a file of the format, and saying plainly when it is not one. What a file claims is checked in claims.py."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile, OldVersion, WrongFile
from fne_cli.options import meant
from fne_cli.store.format import claims
from fne_cli.store.format.columns import ImageTable
from fne_cli.store.format.kinds.behavior import Behavior, sound_settings
from fne_cli.store.format.kinds.projection import StoredProjection
from fne_cli.store.format.kinds.projection import sound_settings as sound_projection
from fne_cli.store.format.kinds.vocabulary import StoredVocabulary
from fne_cli.store.format.kinds.vocabulary import sound_settings as sound_vocabulary
from fne_cli.store.format.layer import LayerReader
from fne_cli.store.format.schema import (
    DIGEST_LENGTH,
    FORMAT,
    LAYER_TEXTS,
    MADE_BY,
    MOMENTS,
    READABLE,
    VERSION,
    WITHOUT_ROWS,
    Images,
    shard_of,
)
from fne_cli.store.format.seal import check_seal

_MAX_CROPS = 100
_LAYERS: dict[str, tuple[Any, ...]] = {"activations": ("f4 f2",), "standardized": ("f4", 2), "codes": ("i1", 2)}
_PACKED = ("u1", 3)


class Reader:
    """An open file. `kind`, `fingerprint`, `settings`, `sources`, `software`, `images`, `layers` say what it holds.

    Its structure has been checked; the columns of text in `images` are read while the file is open.
    """

    def __init__(self, path: Path, file: h5py.File, kind: str, fingerprint: str) -> None:
        self.path = path
        self._file = file
        self.kind = kind
        self.fingerprint = fingerprint
        self.version = int(claims.attribute(path, file, "version"))
        self.settings: dict[str, Any] = claims.json_attribute(path, file, "settings", dict)
        self.sources: list[Any] = claims.json_attribute(path, file, "sources", list)
        self.software: dict[str, str] = claims.json_attribute(path, file, "software", dict)
        self._images: Images | None = None
        self._table = ImageTable(path, file)
        self._check_settings()
        without_rows = kind in WITHOUT_ROWS
        self.layers: dict[str, LayerReader] = {} if without_rows else self._open_layers()

    def _check_settings(self) -> None:
        """What the steps rely on; all else in the settings is only compared and shown."""
        settings, shard = self.settings, shard_of(self.settings)
        if self.kind == "moments":
            whole = isinstance(settings.get("rows"), str) and isinstance(settings.get("activations"), dict)
        elif self.kind == "behavior":
            whole = sound_settings(settings)
        elif self.kind == "projection":
            whole = sound_projection(settings)
        elif self.kind == "vocabulary":
            whole = sound_vocabulary(settings)
        else:
            crops = settings.get("crops")
            whole = type(crops) is int and 1 <= crops <= _MAX_CROPS
        if shard is not None:
            parts = shard if isinstance(shard, dict) else {}
            numbers: list[Any] = [parts.get(name) for name in ("number", "of", "images")]
            whole = whole and all(type(number) is int for number in numbers) and 1 <= numbers[0] <= numbers[1]
        if not whole:
            raise DamagedFile(f"{self.path}: attribute settings should say how a {self.kind} file was made.")

    def _layer_names(self) -> list[str]:
        """In the order of the network."""
        layers = claims.group(self.path, self._file, "layers")
        orders = {}
        for name in layers:
            if not isinstance(layers.get(name, getlink=True), h5py.HardLink):
                raise DamagedFile(f"{self.path} should have layers/{name} in the file itself. Found: a link.")
            orders[name] = claims.attribute(self.path, layers[name], "order")
        if sorted(map(str, orders.values())) != sorted(map(str, range(len(orders)))):
            found = ", ".join(f"{name}: {str(order)[:20]}" for name, order in orders.items())
            raise DamagedFile(f"{self.path} should have layers with an order from 0 on. Found: {found[:200]}.")
        return sorted(orders, key=orders.__getitem__)

    def _open_layers(self) -> dict[str, LayerReader]:
        layers = {}
        for name in self._layer_names():
            packed = self.kind == "codes" and "packing" in self._file["layers"][name].attrs
            types, *dimensions = _PACKED if packed else _LAYERS[self.kind]
            dataset = claims.dataset(self.path, self._file, f"layers/{name}", types, *dimensions)
            attrs = {
                key: claims.attribute(self.path, dataset, key)
                for key in (*LAYER_TEXTS, "thresholds")
                if key in dataset.attrs
            }
            layers[name] = LayerReader(self.path, self.kind, name, dataset, attrs, packed)
        rows = {layer.shape[0] for layer in layers.values()}
        images, crops = self.length("images/status"), self.settings["crops"]
        if rows - {images * crops}:
            raise DamagedFile(
                f"{self.path} should have {images * crops} rows in every layer ({images} images, {crops} crops). "
                f"Found: {sorted(rows)}."
            )
        return layers

    @property
    def images(self) -> Images:
        """The image table, looked up on first use."""
        if self._images is None:
            self._images = self._table.images()
        return self._images

    def listing(self) -> Images:
        """The image table as it was before any image was read, also where a torn write has hit what came later."""
        return self._table.images(whole=False)

    def length(self, name: str) -> int:
        """As ImageTable.length."""
        return self._table.length(name)

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """As ImageTable.column."""
        return self._table.column(name, start, stop)

    def class_names(self) -> list[str]:
        """The names of the classes."""
        return [name.decode() for name in self.column("classes", 0, self.length("classes")).tolist()]

    def check_images(self) -> None:
        """As ImageTable.check."""
        self._table.check()

    def moments(self) -> dict[str, dict[str, np.ndarray]]:
        """The datasets of a moments file: {layer: {"mean": (features,) float64, "std": ...}}, in network order."""
        table: dict[str, dict[str, np.ndarray]] = {}
        with claims.doubted(self.path):
            for name in self._layer_names():
                parts = {}
                for part in MOMENTS:
                    column = claims.dataset(self.path, self._file, f"layers/{name}/{part}", "f8", 1)
                    parts[part] = claims.values(self.path, column)
                if len({len(values) for values in parts.values()}) != 1:
                    raise DamagedFile(f"{self.path}: layer {name} should have {', '.join(MOMENTS)} of one length.")
                table[name] = parts
        return table

    def moments_rows(self, layer: str) -> int:
        """The number of rows that a layer's moments were computed from."""
        with claims.doubted(self.path):
            return int(claims.attribute(self.path, claims.group(self.path, self._file, f"layers/{layer}"), "rows"))

    def behavior(self) -> Behavior:
        """What a behavior file holds, checked."""
        with claims.doubted(self.path):
            return Behavior(self.path, self._file, self._layer_names())

    def projection(self) -> StoredProjection:
        """What a projection file holds, checked but for what its embedding means."""
        with claims.doubted(self.path):
            return StoredProjection(self.path, self._file, self._layer_names(), self.settings)

    def vocabulary(self) -> StoredVocabulary:
        """What a vocabulary file holds, checked."""
        with claims.doubted(self.path):
            return StoredVocabulary(self.path, self._file, self.settings)

    def select(self, patterns: Sequence[str]) -> dict[str, LayerReader]:
        """The layers that a name or glob matches, in network order. Raises BadInput for a pattern without match."""
        chosen: set[str] = set()
        for pattern in patterns:
            matching = meant(pattern, self.layers)
            if not matching:
                raise BadInput(f"{self.path} has no layer {pattern!r}. It has: {', '.join(self.layers)}.")
            chosen |= matching
        return {name: layer for name, layer in self.layers.items() if name in chosen}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_file(path: Path, *kinds: str, unfinished: bool = False) -> Reader:
    """Open a file of the format that is one of `kinds` (default: any). Raises BadInput, WrongFile or DamagedFile.

    Only with `unfinished` a file whose rows are not all written yet is accepted.
    """
    expected = f"should be an fne {' or '.join(kinds)} file" if kinds else "should be a file made by fne"
    remedy = f" Run {MADE_BY[kinds[0]]} first." if kinds else ""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else claims.reason(error)
        raise BadInput(f"{path} {expected}. Found: {found}.{remedy}") from error
    if not stat.S_ISREG(mode):
        raise WrongFile(f"{path} {expected}. Found: {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}.")
    try:
        with open(path, "rb") as raw:
            empty = not raw.read(1)
    except OSError as error:
        raise BadInput(f"{path} {expected}. Found: {error.strerror}.") from error
    try:
        if not h5py.is_hdf5(path):
            raise WrongFile(f"{path} {expected}. Found: {'an empty file' if empty else 'not HDF5'}.{remedy}")
        sealed = check_seal(path)
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DamagedFile(f"{path} {expected}. Found: {claims.reason(error)}.{remedy}") from error
    try:
        with claims.doubted(path):
            kind, fingerprint = _recognised(path, file, kinds, f"{path} {expected}", remedy, unfinished, sealed)
            reader = Reader(path, file, kind, fingerprint)
    except BaseException:
        file.close()
        raise
    if reader.version == 1:
        warnings.warn(
            f"{path} has version 1 of the format, which has no seal: changed bits outside of its rows are not noticed. "
            "Made again, it has one.",
            OldVersion,
            stacklevel=2,
        )
    return reader


def _recognised(
    path: Path, file: h5py.File, kinds: Sequence[str], expected: str, remedy: str, unfinished: bool, sealed: bool
) -> tuple[str, str]:
    """Kind and fingerprint of a file that is ours."""
    if "format" not in file.attrs or claims.attribute(path, file, "format") != FORMAT:
        raise WrongFile(f"{expected}. Found: HDF5 of another origin.{remedy}")
    version = claims.attribute(path, file, "version")
    if version not in READABLE:
        newer = isinstance(version, int) and version > VERSION
        todo = "Update fne: pip install --upgrade fne-cli" if newer else "Make the file again."
        raise WrongFile(f"{path} should have format version {VERSION}. Found: version {version}. {todo}")
    kind, fingerprint = claims.attribute(path, file, "kind"), claims.attribute(path, file, "fingerprint")
    if kind not in MADE_BY or (kinds and kind not in kinds):
        raise WrongFile(f"{expected}. Found: kind={kind}.{remedy}")
    if not unfinished and fingerprint == "0" * DIGEST_LENGTH:
        raise WrongFile(f"{expected}. Found: one that is not finished. Run {MADE_BY[kind]} again to resume.")
    if version > 1 and not sealed and not unfinished:
        raise DamagedFile(
            f"{path} should be a file as fne writes it. Found: no seal at its end, which is missing, or has been taken "
            "off by another program that changed the file.",
            remedy="Fetch a good copy, or make it again with --overwrite.",
        )
    return kind, str(fingerprint)
