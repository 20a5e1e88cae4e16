"""Reading a file of the format, and saying plainly when it is not one. Sizes in a header are claims, checked first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from fne_cli.errors import BadInput, DamagedFile, WrongFile
from fne_cli.store.packed import packed_features, unpack
from fne_cli.store.schema import DIGEST_LENGTH, FORMAT, MADE_BY, VERSION, Images


class Reader:
    """An open file. `kind`, `fingerprint`, `settings`, `sources`, `software`, `images`, `layers` say what it holds."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        self.kind = _text(file.attrs["kind"])
        self.fingerprint = _text(file.attrs["fingerprint"])
        self.settings: dict[str, Any] = self._json("settings")
        self.sources: Any = self._json("sources")
        self.software: dict[str, str] = self._json("software")
        self._images: Images | None = None
        self._layers: dict[str, LayerReader] | None = None

    def _json(self, name: str) -> Any:
        try:
            return json.loads(_text(self._file.attrs[name]))
        except (KeyError, ValueError) as error:
            raise DamagedFile(f"{self.path} should have an attribute {name} with JSON. Found: {error}.") from error

    def _dataset(self, name: str) -> h5py.Dataset:
        return _checked(self.path, self._file, name)

    @property
    def images(self) -> Images:
        """The image table, read on first use."""
        if self._images is None:
            text = {name: self._strings(f"images/{name}") for name in ("path", "split", "message", "sha256")}
            label, status = (self._values(f"images/{name}") for name in ("label", "status"))
            self._images = Images(
                path=text["path"],
                split=text["split"],
                label=label,
                classes=self._strings("classes"),
                status=status,
                message=text["message"],
                sha256=text["sha256"],
            )
            lengths = {len(label), len(status), *map(len, text.values())}
            if len(lengths) != 1:
                raise DamagedFile(f"{self.path} should have images columns of one length. Found: {sorted(lengths)}.")
            if label.ndim == 1 and len(label) and not -1 <= label.min() <= label.max() < len(self._images.classes):
                raise DamagedFile(
                    f"{self.path}: images/label has values outside -1 ... {len(self._images.classes) - 1}."
                )
        return self._images

    def _values(self, name: str) -> np.ndarray:
        try:
            return self._dataset(name)[:]
        except OSError as error:
            raise DamagedFile(f"{self.path}: {name} cannot be read ({_reason(error)}).") from error

    def length(self, name: str) -> int:
        """The number of entries of a dataset."""
        return int(self._dataset(name).shape[0])

    def column(self, name: str, start: int, stop: int) -> np.ndarray:
        """Entries start ... stop - 1 of a dataset, for tables that should not be in memory as a whole."""
        try:
            return self._dataset(name)[start:stop]
        except OSError as error:
            raise DamagedFile(f"{self.path}: {name} cannot be read ({_reason(error)}).") from error

    def _strings(self, name: str) -> list[str]:
        values = self._values(name)
        if values.dtype.kind != "S":
            raise DamagedFile(f"{self.path}: {name} should hold UTF-8 of fixed length. Found: {values.dtype}.")
        try:
            return [value.decode() for value in values.tolist()]
        except UnicodeDecodeError as error:
            raise DamagedFile(f"{self.path}: {name} is not UTF-8 ({error}).") from error

    @property
    def layers(self) -> dict[str, LayerReader]:
        """The layers of an activations or codes file by name, in network order."""
        if self._layers is None:
            names = _ordered(self._file)
            crops = int(self.settings.get("crops", 1))
            self._layers = {name: LayerReader(self, name, self._dataset(f"layers/{name}"), crops) for name in names}
            rows = {layer.shape[0] for layer in self._layers.values()}
            images = _checked(self.path, self._file, "images/status").shape[0]
            if rows - {images * crops}:
                raise DamagedFile(
                    f"{self.path} should have {images * crops} rows in every layer ({images} images, {crops} crops). "
                    f"Found: {sorted(rows)}."
                )
        return self._layers

    def moments(self) -> dict[str, dict[str, np.ndarray]]:
        """The datasets of a moments file: {layer: {"mean": (features,) float64, "std": ...}}, in network order."""
        table: dict[str, dict[str, np.ndarray]] = {}
        for name in _ordered(self._file):
            if not isinstance(self._file["layers"][name], h5py.Group):
                raise DamagedFile(f"{self.path} should have a group layers/{name}. Found: something else.")
            table[name] = {part: self._values(f"layers/{name}/{part}") for part in self._file["layers"][name]}
            lengths = {values.shape for values in table[name].values()}
            if len(lengths) != 1 or not {"mean", "std"} <= set(table[name]):
                raise DamagedFile(f"{self.path}: layer {name} should have mean and std of one length.")
        return table

    def moments_rows(self, layer: str) -> int:
        """The number of rows that a layer's moments were computed from."""
        return int(self._file["layers"][layer].attrs["rows"])

    def select(self, patterns: Sequence[str]) -> dict[str, LayerReader]:
        """The layers that a name or glob matches, in network order. Raises BadInput for a pattern without match."""
        from fnmatch import fnmatchcase

        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in self.layers):
                raise BadInput(f"{self.path} has no layer {pattern!r}. It has: {', '.join(self.layers)}.")
        return {n: r for n, r in self.layers.items() if any(fnmatchcase(n, pattern) for pattern in patterns)}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LayerReader:
    """One layer: (rows, *row_shape) values, read in batches of whole chunks."""

    def __init__(self, file: Reader, name: str, dataset: h5py.Dataset, crops: int) -> None:
        self.name = name
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype[Any] = dataset.dtype
        self.chunk_rows: int = dataset.chunks[0] if dataset.chunks else max(1, dataset.shape[0])
        packed = packed_features(dataset)
        self.packed = packed is not None
        if packed is not None:
            if not packed:
                raise DamagedFile(
                    f"{file.path}: layer {name} should be bit planes of its features. Found: {self.shape}."
                )
            self.shape, self.dtype = (dataset.shape[0], packed), np.dtype(np.int8)
        self.attrs: dict[str, Any] = {k: v for k, v in dataset.attrs.items() if k != "order"}
        self._file = file
        self._dataset = dataset
        self._crops = crops

    @property
    def features(self) -> int:
        """Number of columns of the flattened row."""
        return int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def dataset(self) -> h5py.Dataset:
        """The dataset as it is stored, for modules of this room."""
        return self._dataset

    @property
    def descriptor(self) -> int:
        """The file descriptor that HDF5 reads from."""
        handle: int = self._dataset.file.id.get_vfd_handle()
        return handle

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start ... stop - 1 as (rows, features), unpacked. Raises DamagedFile naming file, layer and rows."""
        values = self.read_stored(start, stop)
        return unpack(values, self.features) if self.packed else values.reshape(stop - start, -1)

    def read_stored(self, start: int, stop: int) -> np.ndarray:
        """The same rows as they stand in the file, (rows, *stored shape)."""
        try:
            return self._dataset[start:stop]
        except OSError as error:
            raise DamagedFile(
                f"{self._file.path}: layer {self.name}, rows {start}-{stop - 1} are damaged ({_reason(error)}).\n"
                f"Make the file again with {MADE_BY[self._file.kind]} --overwrite, or fetch a good copy."
            ) from error

    def batches(self, batch_rows: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield (span, rows) over all rows; a batch is whole chunks, as many as `batch_rows` holds, at least one."""
        step = max(1, batch_rows // self.chunk_rows) * self.chunk_rows
        for start in range(0, self.shape[0], step):
            stop = min(start + step, self.shape[0])
            yield slice(start, stop), self.read(start, stop)


def open_file(path: Path, *kinds: str, unfinished: bool = False) -> Reader:
    """Open a file of the format that is one of `kinds` (default: any). Raises BadInput, WrongFile or DamagedFile.

    Only with `unfinished` a file whose rows are not all written yet is accepted.
    """
    expected = f"should be an fne {' or '.join(kinds)} file" if kinds else "should be a file made by fne"
    if not path.exists():
        raise BadInput(f"{path} {expected}. Found: no such file.{_remedy(kinds)}")
    if path.is_dir():
        raise WrongFile(f"{path} {expected}. Found: a folder.")
    try:
        if not h5py.is_hdf5(path):
            found = "an empty file" if path.stat().st_size == 0 else "not HDF5"
            raise WrongFile(f"{path} {expected}. Found: {found}.{_remedy(kinds)}")
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise DamagedFile(f"{path} {expected}. Found: {_reason(error)}.{_remedy(kinds)}") from error
    try:
        return _recognised(path, file, kinds, expected, unfinished)
    except BaseException:
        file.close()
        raise


def _recognised(path: Path, file: h5py.File, kinds: Sequence[str], expected: str, unfinished: bool) -> Reader:
    if _text(file.attrs.get("format", "")) != FORMAT:
        raise WrongFile(f"{path} {expected}. Found: HDF5 of another origin.{_remedy(kinds)}")
    version = file.attrs.get("version", 0)
    if version != VERSION:
        newer = "Update fne: pip install --upgrade fne-cli" if version > VERSION else "Make the file again."
        raise WrongFile(f"{path} should have format version {VERSION}. Found: version {version}. {newer}")
    kind = _text(file.attrs.get("kind", ""))
    if (kinds and kind not in kinds) or kind not in MADE_BY:
        raise WrongFile(f"{path} {expected}. Found: kind={kind}.{_remedy(kinds)}")
    if not unfinished and _text(file.attrs.get("fingerprint", "")) == "0" * DIGEST_LENGTH:
        raise WrongFile(f"{path} {expected}. Found: one that is not finished. Run {MADE_BY[kind]} again to resume.")
    return Reader(path, file)


def _remedy(kinds: Sequence[str]) -> str:
    return f" Run {MADE_BY[kinds[0]]} first." if kinds else ""


def _checked(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset that lies in this file and is no larger than it, whatever its header claims."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise DamagedFile(f"{path} should have a dataset {name}. Found: none.")
    dataset = file[name]
    if dataset.is_virtual or dataset.external:
        raise DamagedFile(f"{path}: {name} should lie in the file itself. Found: a reference to other files.")
    size = path.stat().st_size
    if dataset.nbytes > size:
        raise DamagedFile(f"{path}: {name} claims {dataset.nbytes:,} bytes in a file of {size:,} bytes.")
    if dataset.dtype.kind not in "iufS":
        raise DamagedFile(f"{path}: {name} should hold numbers or fixed-length text. Found: {dataset.dtype}.")
    return dataset


def _ordered(file: h5py.File) -> list[str]:
    group = file.get("layers")
    if not isinstance(group, h5py.Group):
        return []
    return sorted(group, key=lambda name: int(group[name].attrs.get("order", 0)))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _reason(error: OSError) -> str:
    text = str(error).splitlines()[0]
    if "truncated file" in text:
        return "a truncated file"
    if "filter returned failure" in text:
        return "the checksum does not match"
    return text
