"""Reading HDF5 files of Keras with distrust: no links, no other files, and no array of another shape than expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_DEEP = 32
_MANY = 200_000


class Suspicious(ValueError):
    """A file has what no file of Keras has."""


def opened(file: Any) -> Any:
    """An HDF5 file by its path, or by a file object, for reading."""
    import h5py

    return h5py.File(file)


def text(item: Any, name: str) -> str | None:
    """An attribute of text, None if there is none."""
    if name not in item.attrs:
        return None
    if item.attrs.get_id(name).shape != ():
        raise Suspicious(f"{name} should be one text")
    value = item.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def group(parent: Any, name: str) -> Any:
    """A group in a group, by one name or several with slashes; None if there is none."""
    import h5py

    for part in name.split("/"):
        if part not in parent:
            return None
        parent = _own(parent, part)
        if not isinstance(parent, h5py.Group):
            return None
    return parent


def groups(parent: Any) -> Iterator[tuple[str, Any]]:
    """The groups in a group, with their names."""
    import h5py

    for name in parent:
        item = _own(parent, name)
        if isinstance(item, h5py.Group):
            yield name, item


def datasets(parent: Any) -> dict[tuple[str, ...], Any]:
    """All datasets below a group, by the parts of their paths. Raises Suspicious for links."""
    import h5py

    found: dict[tuple[str, ...], Any] = {}
    ahead: deque[tuple[tuple[str, ...], Any]] = deque([((), parent)])
    seen = 0
    while ahead:
        path, item = ahead.popleft()
        for name in item:
            seen += 1
            if len(path) >= _DEEP or seen > _MANY:
                raise Suspicious("its groups have no end")
            inner = _own(item, name)
            if isinstance(inner, h5py.Group):
                ahead.append(((*path, name), inner))
            elif isinstance(inner, h5py.Dataset):
                found[*path, name] = inner
    return found


def array(dataset: Any, shape: Sequence[int]) -> np.ndarray:
    """The numbers of a dataset, which should have this shape: nothing is read that claims another."""
    if tuple(dataset.shape) != tuple(shape):
        raise ValueError(f"{dataset.name} should be {_by(shape)}. Found: {_by(dataset.shape)}.")
    if dataset.external or dataset.is_virtual:
        raise Suspicious(f"{dataset.name} lies in another file")
    if dataset.dtype.kind not in "fiub":
        raise Suspicious(f"{dataset.name} should have numbers. Found: {dataset.dtype}.")
    return np.asarray(dataset[()])


def _own(parent: Any, name: str) -> Any:
    import h5py

    link = parent.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise Suspicious(f"{parent.name}/{name} is a link")
    return parent[name]


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"
