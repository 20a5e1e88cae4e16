"""Ways to spoil files, for fuzz_files.py: bytes, JSON, lines, archives, HDF5. All chance comes from the generator."""

from __future__ import annotations

import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ODD = (0, 1, 2, 7, 127, 128, 255, 256, 32767, 65535, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 40, (1 << 63) - 1)
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 1e308, -0.5, 1 << 62, 10**30, "", "a", "../x", "/etc/passwd", "\x1b[31m", "\u202e", "\0",
    "\ud800", "x" * 5000, "=1+1", [], {}, [[]], [1], ["a"], {"a": 1}, "0", "nan", ".5", "é" * 40,
)  # fmt: skip
TOKENS = ("\0", '"', '""', ",", "\t", ";", "\n", "\r", "\r\n", "\ufeff", "\x1b[2J", "\u2028", "-1", "9" * 400, "1e999",
          "nan", "../", "/", "#0,0,9,9", "path", "label", "split", "train", "[", "]", "{", "}", "=", "'", "'''", "\\",
          "[a.b]\n", "x = 1\n", "true", "é", "🎈", " ", "a" * 3000, "[" * 500, "x0,y0,x1,y1")  # fmt: skip


def spoil_bytes(chance: random.Random, content: bytes, within: int | None = None) -> bytes:
    """One to four changes of bytes: bits, odd numbers, spans that are gone, twice, elsewhere, or zeros."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if not data:
            break
        end = min(len(data), within or len(data))
        at = chance.randrange(end)
        span = slice(at, min(len(data), at + chance.choice((1, 2, 4, 8, 64, 512))))
        way = chance.randrange(9)
        if way < 3:
            data[at] ^= 1 << chance.randrange(8)
        elif way == 3:
            number = chance.choice(ODD)
            data[span.start : span.start + 8] = struct.pack(chance.choice("<>") + "Q", number)[: len(data) - at]
        elif way == 4:
            data[at] = chance.choice((0, 1, 127, 128, 255))
        elif way == 5:
            del data[span]
        elif way == 6:
            data[at:at] = data[span]
        elif way == 7:
            data[span] = bytes(span.stop - span.start)
        else:
            del data[chance.randrange(len(data)) :]
    return bytes(data)


def spoil_json(chance: random.Random, value: Any) -> Any:
    """The value with one place changed: another value, none, or one more."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        way = chance.random()
        if way < 0.1:
            return {name: entry for name, entry in value.items() if name != key}
        if way < 0.15:
            return {**value, chance.choice(("a", "__proto__", key + "x")): chance.choice(VALUES)}
        return {**value, key: spoil_json(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.85:
        at = chance.randrange(len(value))
        way = chance.random()
        if way < 0.1:
            return value[:at] + value[at + 1 :]
        if way < 0.2:
            return [*value, value[at]]
        return [*value[:at], spoil_json(chance, value[at]), *value[at + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and chance.random() < 0.5:
        return chance.choice((value + 1, -value, value * 2, value / 3, float(value)))
    return chance.choice(VALUES)


def spoil_text(chance: random.Random, content: bytes) -> bytes:
    """Lines and cells in disorder, or tokens where none should be."""
    text = content.decode()
    for _ in range(chance.choice((1, 1, 2, 3))):
        lines = text.splitlines(keepends=True) or [""]
        at, way = chance.randrange(len(lines)), chance.randrange(6)
        if way == 0:
            lines.insert(at, chance.choice(lines))
        elif way == 1:
            del lines[at]
        elif way == 2:
            lines[at] = lines[at].replace(chance.choice((",", "=", ":", '"')), chance.choice(TOKENS), 1)
        else:
            place = chance.randrange(len(lines[at]) + 1)
            end = place + chance.choice((0, 0, 1, 3, 10))
            lines[at] = lines[at][:place] + chance.choice(TOKENS) + lines[at][end:]
        text = "".join(lines)
    encoding = chance.choice(("utf-8",) * 12 + ("utf-16", "latin-1"))
    return text.encode(encoding, "replace") if chance.random() < 0.95 else spoil_bytes(chance, content)


def spoil_zip(chance: random.Random, content: bytes, member: Callable[[str, bytes], bytes]) -> bytes:
    """The archive with a member changed by `member(name, bytes)`, gone, twice, renamed, or packed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at, way = chance.randrange(len(parts)), chance.randrange(8)
    name, data = parts[at]
    if way < 4:
        parts[at] = (name, member(name, data))
    elif way == 4:
        del parts[at]
    elif way == 5:
        parts.append((name, member(name, data)))
    elif way == 6:
        parts[at] = (chance.choice(("../x", "/x", name + "x", "head.npy", "config.json")), data)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED if way == 7 else zipfile.ZIP_STORED) as archive:
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return made.getvalue() if chance.random() < 0.8 else spoil_bytes(chance, made.getvalue())


def spoil_tar(chance: random.Random, content: bytes) -> bytes:
    """A field of a header changed, its checksum made right again; or bytes."""
    data = bytearray(content)
    heads = []
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        heads = [member.offset for member in archive.getmembers()]
    at = chance.choice(heads)
    start, size = chance.choice(((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155)))
    if start == 156:
        data[at + start] = chance.choice(b"0123457xgLKSDNV\0\xff")
    elif start == 124:
        text = chance.choice((b"%011o\0" % chance.choice(ODD[:13]), b"-0000000001\0", b"\x80" + b"\xff" * 11, b"zzz"))
        data[at + start : at + start + len(text)] = text[:12]
    else:
        data[at + start : at + start + size] = spoil_bytes(chance, bytes(data[at + start : at + start + size]))[
            :size
        ].ljust(size, b"\0")
    head = data[at : at + 512]
    head[148:156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(head)
    return bytes(data) if chance.random() < 0.8 else spoil_bytes(chance, bytes(data))


def spoil_image(chance: random.Random, content: bytes) -> bytes:
    """Mostly the header; a PNG's checksums are made right again."""
    data = spoil_bytes(chance, content, chance.choice((32, 100, 400, None)))
    if not data.startswith(b"\x89PNG") or chance.random() < 0.3:
        return data
    made, at = bytearray(data), 8
    while at + 12 <= len(made):
        size = int.from_bytes(made[at : at + 4], "big")
        if at + 12 + size > len(made):
            break
        made[at + 8 + size : at + 12 + size] = zlib.crc32(made[at + 4 : at + 8 + size]).to_bytes(4, "big")
        at += 12 + size
    return bytes(made)


def spoil_hdf5(chance: random.Random, path: Path) -> None:
    """One to three changes of an HDF5 file's objects: attributes, links, datasets. Whatever HDF5 refuses is left."""
    with h5py.File(path, "r+", locking=False) as file:
        names: list[str] = [""]
        file.visit(names.append)
        for _ in range(chance.choice((1, 1, 2, 3))):
            item = file[chance.choice(names) or "/"]
            try:
                if chance.random() < 0.5 and len(item.attrs):
                    _spoil_attribute(chance, item, chance.choice(list(item.attrs)))
                else:
                    _spoil_object(chance, file, item)
            except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError):
                continue
            names = [""]
            file.visit(names.append)


def _spoil_attribute(chance: random.Random, item: Any, name: str) -> None:
    value, way = item.attrs[name], chance.randrange(6)
    text = value if isinstance(value, str) else value.decode("utf-8", "replace") if isinstance(value, bytes) else None
    if text is not None and way < 4:
        try:
            made = json.dumps(spoil_json(chance, json.loads(text)), ensure_ascii=False, sort_keys=True)
        except ValueError:
            made = chance.choice(("", "2", text + "x", text[:-1], "codes", "moments", "behavior", "\x1b[1m"))
        data = made.replace("\0", "").encode("utf-8", "surrogatepass")
        item.attrs.create(name, data, dtype=h5py.string_dtype("utf-8", max(1, len(data))))
    elif way == 4:
        del item.attrs[name]
    else:
        item.attrs[name] = chance.choice(
            (0, -1, 1 << 40, 0.5, np.nan, np.inf, "text", [1, 2, 3], np.zeros((2, 2)), np.float32(1), np.uint8(3))
        )


def _spoil_object(chance: random.Random, file: h5py.File, item: Any) -> None:
    parent, name, way = item.parent, item.name, chance.randrange(8)
    if way == 0:
        del file[name]
    elif way == 1:
        file.move(name, name + chance.choice(("x", ".1", "\x1b[1m")))
    elif way == 2:
        del file[name]
        file[name] = chance.choice((h5py.SoftLink("/layers"), h5py.ExternalLink("/etc/passwd", "/")))
    elif way == 3:
        others: list[str] = []
        file.visit(others.append)
        del file[name]
        file[name] = file[chance.choice(others)]
    elif isinstance(item, h5py.Dataset) and way < 6:
        values = item[()]
        _spoil_numbers(chance, values)
        item[...] = values
    elif isinstance(item, h5py.Dataset):
        values = item[()]
        del file[name]
        shape = chance.choice((values.shape, values.shape[::-1], values.reshape(-1).shape, (0, *values.shape[1:])))
        dtype = chance.choice((values.dtype, "f8", "f4", "i8", "i1", "u1", "S3", h5py.string_dtype(), "c8", "?"))
        options = chance.choice(({}, {"chunks": True}, {"chunks": True, "compression": 1}, {"fletcher32": True}))
        kept = dict(item.attrs) if item else {}
        made = parent.create_dataset(name, shape, dtype, **options)
        made.attrs.update(kept)


def _spoil_numbers(chance: random.Random, values: np.ndarray) -> None:
    flat = values.reshape(-1)
    if not flat.size:
        return
    at = chance.randrange(flat.size)
    if values.dtype.kind == "f":
        flat[at] = chance.choice((np.nan, np.inf, -np.inf, -0.0, 1e-40, 3e38, -1.0, 0.0))
    elif values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        flat[at] = chance.choice((limits.min, limits.max, 0, 1, max(-1, limits.min)))
    else:
        flat[at] = chance.choice((b"", b"\xff\xfe", b"a", b"../../x", b"\x1b[2J"))
