"""No bit of a file can change unseen: it is under the seal, or under the checksum of a chunk."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from evaluation_files import evaluate
from real_files import write_activations, write_all

from fne_cli.errors import DamagedFile, FneError, OldVersion
from fne_cli.steps.analyze import analyze
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.seal import check_seal, intact, is_intact, seal, unseal

KINDS = ("activations", "moments", "codes", "behavior", "standardized")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small file of each kind."""
    folder = tmp_path_factory.mktemp("made")
    paths = dict(zip(KINDS, write_all(folder, 12, bad=[4]), strict=False))
    paths["behavior"] = folder / "behavior.h5"
    analyze(paths["activations"], paths["behavior"], random_classes=20)
    paths["standardized"] = folder / "z.h5"
    normalize(paths["activations"], paths["moments"], standardized=paths["standardized"])
    return paths


def test_the_seal_by_hand(tmp_path):
    """As docs/format.md has it, with HDF5's own word for where the chunks are."""
    path = write_activations(tmp_path / "a.h5", 40)
    content = path.read_bytes()
    size, count = struct.unpack("<QQ", content[-24:-8])
    assert content[-8:] == b"fneseal1"
    assert len(content) == size + 16 * count + 56
    spans = np.frombuffer(content[size : size + 16 * count], "<u8").reshape(-1, 2).tolist()
    chunks = []
    with h5py.File(path) as file:
        for name in ("layers/conv", "layers/fc", *(f"images/{column}" for column in file["images"])):
            data = file[name].id
            infos = [data.get_chunk_info(number) for number in range(data.get_num_chunks())]
            chunks += [(info.byte_offset, info.byte_offset + info.size) for info in infos]
    inside = np.zeros(size, bool)
    for start, stop in chunks:
        assert not inside[start:stop].any()
        inside[start:stop] = True
    covered = np.zeros(size, bool)
    for start, stop in spans:
        covered[start:stop] = True
    assert (inside == covered).all()
    rest = np.frombuffer(content[:size], np.uint8)[~covered].tobytes()
    said = b"fneseal1" + struct.pack("<Q", size) + content[size : size + 16 * count]
    assert content[-56:-24] == hashlib.sha256(said + rest).digest()


def test_other_programs_read_a_sealed_file_and_take_the_seal_off_when_they_write(tmp_path):
    path = write_activations(tmp_path / "a.h5", 12)
    with h5py.File(path) as file:
        assert file["layers/conv"].shape == (12, 3)
    assert check_seal(path)
    with h5py.File(path, "r+") as file:
        file.attrs["mine"] = 1
    with pytest.raises(DamagedFile, match=r"a\.h5 should be a file as fne writes it\. Found: no seal at its end"):
        open_file(path)


def test_taking_it_off_and_putting_it_on_gives_the_same_bytes(made, tmp_path):
    path = Path(shutil.copy(made["codes"], tmp_path))
    unseal(path)
    assert not check_seal(path)
    unseal(path)
    seal(path)
    assert path.read_bytes() == made["codes"].read_bytes()


def flipped(path: Path, content: bytes, bit: int) -> bool:
    """Whether the file with this bit turned is found out: it is refused, or `verify` names the damage."""
    spoilt = bytearray(content)
    spoilt[bit // 8] ^= 1 << bit % 8
    path.write_bytes(spoilt)
    try:
        return bool(verify(path).problems)
    except FneError:
        return True


@pytest.mark.parametrize("kind", KINDS)
def test_some_bits(made, tmp_path, kind):
    content = made[kind].read_bytes()
    chosen = np.random.default_rng(0).integers(0, 8 * len(content), 150).tolist()
    assert [bit for bit in chosen if not flipped(tmp_path / "f.h5", content, bit)] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_of_every_fifth_byte(made, tmp_path, kind):
    """All of them, and more files, by scripts/fuzz_files.py."""
    content = made[kind].read_bytes()
    rng = np.random.default_rng(1)
    bits = [8 * byte + int(rng.integers(8)) for byte in range(0, len(content), 5)]
    assert [bit for bit in bits if not flipped(tmp_path / "f.h5", content, bit)] == []


@pytest.mark.parametrize("kind", ["activations", "codes"])
def test_a_seal_that_lies_is_refused(made, tmp_path, kind):
    """Spans that leave the file, cross, or go back; a length of 2**60: nothing is taken for granted."""
    content = made[kind].read_bytes()
    size, count = struct.unpack("<QQ", content[-24:-8])
    for spans in ([(0, 1 << 62)], [(50, 10)], [(0, 100), (50, 200)], [(0, size), (size, size + 1)]):
        tail = content[:size] + np.array(spans, "<u8").tobytes() + content[-56:-24]
        (tmp_path / "f.h5").write_bytes(tail + struct.pack("<QQ", size, len(spans)) + b"fneseal1")
        with pytest.raises(DamagedFile, match="bytes that have changed since"):
            open_file(tmp_path / "f.h5")
    for length, number in ((1 << 60, count), (size, 1 << 60), (0, 0)):
        (tmp_path / "f.h5").write_bytes(content[:-24] + struct.pack("<QQ", length, number) + b"fneseal1")
        with pytest.raises(DamagedFile):
            open_file(tmp_path / "f.h5")


def test_a_file_of_version_1_is_read_with_a_remark(made, tmp_path):
    path = Path(shutil.copy(made["codes"], tmp_path / "old.h5"))
    unseal(path)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = np.int64(1)
    with pytest.warns(OldVersion, match=r"old\.h5 has version 1 of the format, which has no seal"):
        open_file(path).close()
    said = subprocess.run([sys.executable, "-m", "fne_cli", "info", path], capture_output=True, text=True)
    assert (said.returncode, said.stderr.count("\n"), "format version 1" in said.stdout) == (0, 1, True)
    assert said.stderr.startswith(f"{path} has version 1 of the format")
    with pytest.warns(OldVersion):
        old = evaluate(path)
    assert old.results["results"] == evaluate(made["codes"]).results["results"]
    assert old.results["fingerprint"] == evaluate(made["codes"]).results["fingerprint"]


def chunks_of(path: Path, below: str) -> list[tuple[int, int]]:
    """Where HDF5 says that the chunks of a group's datasets are."""
    with h5py.File(path) as file:
        found = [file[below][name].id for name in file[below]]
        infos = [data.get_chunk_info(number) for data in found for number in range(data.get_num_chunks())]
        return [(info.byte_offset, info.byte_offset + info.size) for info in infos]


def test_every_byte_but_those_of_rows_is_known(tmp_path):
    path = write_activations(tmp_path / "a.h5", 40)
    content, known = path.read_bytes(), intact(path)
    assert is_intact(path, known)
    rows, table = chunks_of(path, "layers"), chunks_of(path, "images")
    borders = [at for span in table + rows for at in (span[0] - 1, span[0], span[1] - 1, span[1])]
    for at in sorted({*borders, *range(0, len(content), 211), len(content) - 1}):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            same = is_intact(path, known)
        except DamagedFile:
            same = False
        assert same == any(start <= at < stop for start, stop in rows)
    for other in (content[:-1], content[:100], b"", content + b"\0", content[: len(content) // 2]):
        path.write_bytes(other)
        assert not is_intact(path, known)


@pytest.mark.parametrize(
    "known",
    [
        *(
            None,
            7,
            [],
            {},
            {"table": {}},
            {"table": [1]},
            {"table": [2, 1]},
            {"table": [-1, 5]},
            {"table": [0, 1 << 70]},
        ),
        *({"table": [0, True]}, {"table": ["0", "8"]}, {"table": [0, 8]}, {"table": [0, 8], "seal": 1, "sha256": None}),
        {"table": [0, 8] * 1000},
    ],
)
def test_what_a_record_may_say_instead(known, tmp_path):
    path = write_activations(tmp_path / "a.h5", 4)
    assert not is_intact(path, known)


def test_another_file_is_not_the_one_that_is_known(tmp_path):
    one, other = write_activations(tmp_path / "a.h5", 4), write_activations(tmp_path / "b.h5", 5)
    assert not is_intact(other, intact(one))
