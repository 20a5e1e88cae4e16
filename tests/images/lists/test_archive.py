"""Tar archives: their names are only names, and a damaged one is an error, never a shorter listing."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.images.lists.archive import from_tar
from fne_cli.images.lists.findings import remarks, summary
from fne_cli.images.lists.folders import png_bytes
from fne_cli.images.lists.tree import from_folder
from fne_cli.images.pixels import decode
from fne_cli.images.pixels.bad import BadImage, Status
from fne_cli.images.pixels.reading import read_file


def member(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def pack(path: Path, *names: str | tarfile.TarInfo, layout: int = tarfile.PAX_FORMAT) -> str:
    """Each member's content is its name."""
    with tarfile.open(path, "w", format=layout) as archive:
        for entry in names:
            info = entry if isinstance(entry, tarfile.TarInfo) else member(entry, len(entry.encode()))
            archive.addfile(info, io.BytesIO(info.name.encode() if info.isreg() else b""))
    return str(path)


def error_of(path: object) -> str:
    with pytest.raises(BadInput) as caught:
        from_tar(str(path))
    return str(caught.value).replace(str(path), "IMAGES")


def test_folders_are_classes_in_sorted_order(tmp_path):
    archive = pack(
        tmp_path / "a.tar", "dog/2.jpg", "cat/1.jpg", "cat/notes.txt", "dog/10.png", ".cache/3.jpg", "cat/._1.jpg"
    )
    listing = from_tar(archive)
    assert listing.ids == ["cat/1.jpg", "dog/10.png", "dog/2.jpg"]
    assert listing.labels == [("cat",), ("dog",), ("dog",)]
    assert listing.files == [archive] * 3


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_spans_are_the_members_bytes(tmp_path, layout):
    names = [f"{label}/{'long/' * (length // 2)}{'é' * 9}{length}.jpg" for label in "ab" for length in range(0, 60, 9)]
    archive = pack(tmp_path / "a.tar", *names, layout=layout)
    listing = from_tar(archive)
    assert listing.ids == sorted(names)
    assert listing.spans.dtype == np.int64
    for name, (offset, size) in zip(listing.ids, listing.spans.tolist(), strict=True):
        assert read_file(archive, offset, size) == name.encode()
    with tarfile.open(archive) as index:
        for name, span in zip(listing.ids, listing.spans.tolist(), strict=True):
            assert (
                hashlib.sha256(read_file(archive, *span)).digest()
                == hashlib.sha256(index.extractfile(name).read()).digest()
            )


def test_archive_of_the_tar_program(tmp_path):
    for name in ("photos/train/cat/1.jpg", "photos/test/cat/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(name.encode() * 300)
    subprocess.run(["tar", "-cf", "a.tar", "photos"], cwd=tmp_path, check=True)
    listing = from_tar(str(tmp_path / "a.tar"))
    assert listing.ids == ["photos/test/cat/2.jpg", "photos/train/cat/1.jpg"]
    assert (listing.splits, listing.classes) == (["test", "train"], ["cat"])
    assert read_file(str(tmp_path / "a.tar"), *listing.spans[1].tolist()) == b"photos/train/cat/1.jpg" * 300


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["all/cat/1.jpg", "all/dog/2.jpg"], ["cat", "dog"]),
        (["all/train/cat/1.jpg", "all/test/dog/2.jpg"], ["dog", "cat"]),
        (["train/cat/1.jpg", "train/dog/2.jpg"], ["cat", "dog"]),
        (["cat/1.jpg", "cat/2.jpg"], ["cat", "cat"]),
        (["cat/1.jpg", "cat/more/2.jpg"], ["cat", "cat"]),
        (["cat/a/1.jpg", "dog/a/2.jpg"], ["cat", "dog"]),
        (["./all/cat/1.jpg", "./all/dog/2.jpg"], ["cat", "dog"]),
    ],
)
def test_one_folder_round_everything_is_not_a_class(tmp_path, names, labels):
    assert [label for (label,) in from_tar(pack(tmp_path / "a.tar", *names)).labels] == labels


def holding(path: Path, members: dict[str, bytes]) -> str:
    """An archive of files with these contents; a name that ends in / is a folder."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(member(name, len(content), type=kind), io.BytesIO(content))
    return str(path)


def said(archive: str) -> list[str]:
    listing = from_tar(archive)
    return [summary(listing), *remarks(listing)]


def test_the_same_is_said_as_of_the_folder(tmp_path):
    png, members = png_bytes(np.zeros((3, 4), np.uint8)), {}
    for name in ("train/cat/1.jpg", "test/dog/2.jpg", "test/dog/.3.jpg", "@eaDir/1.jpg", "train/@eaDir/1.jpg",
                 "train/notes", "train/cat/5.mov", "train/eel/6.txt"):  # fmt: skip
        members[f"all/{name}"] = name.encode()
    members |= {"all/test/cat/": b"", "all/test/cat/4": png, "all/val/cat/": b"", "all/.git/": b""}
    archive = holding(tmp_path / "a.tar", members)
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    (tmp_path / "around").mkdir()
    (tmp_path / "all").rename(tmp_path / "around/all")
    assert said(archive) == [
        "3 images (train 1, test 2), 2 classes, 0 images without label",
        "looked through the folder all, which is around everything",
        "3 files left out: .mov 1, .txt 1, no ending 1",
        "folders left out by name: @eaDir 2",
        "2 class folders without images: all/train/eel, all/val",
    ]
    folder = from_folder(str(tmp_path / "around"))
    assert [summary(folder), *remarks(folder)] == said(archive)
    listing = from_tar(archive)
    assert (listing.ids, listing.splits, listing.labels) == (folder.ids, folder.splits, folder.labels)
    assert read_file(archive, *listing.spans[listing.ids.index("all/test/cat/4")].tolist()) == png


def test_splits_by_other_names(tmp_path):
    listing = from_tar(pack(tmp_path / "a.tar", "Training/cat/1.jpg", "test_set/cat/1.jpg"))
    assert (listing.splits, listing.labels) == (["train", "test"], [("cat",), ("cat",)])


def test_what_is_no_file_is_counted(tmp_path):
    link = member("cat/link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    hard = member("cat/hard.jpg", type=tarfile.LNKTYPE, linkname="gone.jpg")
    pipe = member("cat/pipe.jpg", type=tarfile.FIFOTYPE)
    hidden = member("cat/.link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    archive = pack(tmp_path / "a.tar", "cat/1.jpg", "dog/1.jpg", link, hard, pipe, hidden)
    assert said(archive)[1:] == ["3 files left out: links 2, special files 1"]


def test_a_member_is_not_read_beyond_its_end(tmp_path):
    png = png_bytes(np.zeros((3, 4), np.uint8))
    archive = holding(tmp_path / "a.tar", {"cat/1.jpg": b"", "cat/2": png[:3], "cat/3": b"", "dog/4.jpg": png})
    assert said(archive)[1:] == ["2 files left out: no ending 2"]


def test_names_lead_nowhere(tmp_path):
    archive = pack(tmp_path / "a.tar", "/etc/1.jpg", "../../up/2.jpg", "cat/../dog/3.jpg", "./x//4.jpg")
    assert from_tar(archive).ids == ["dog/3.jpg", "etc/1.jpg", "up/2.jpg", "x/4.jpg"]


def test_names_that_are_not_text(tmp_path):
    archive = Path(pack(tmp_path / "a.tar", "cat/XX.jpg", "cat/YYY.jpg"))
    listing = from_tar(str(rewritten(archive, {b"cat/XX": b"cat/\xff\xfe"})))
    assert listing.ids == ["cat/YYY.jpg", r"cat/\xff\xfe.jpg"]


def test_nul_in_a_name(tmp_path):
    path = Path(pack(tmp_path / "a.tar", member("cat/1.jpg", pax_headers={"path": "cat/1_2.jpg"})))
    path.write_bytes(path.read_bytes().replace(b"path=cat/1_2.jpg", b"path=cat/1\x002.jpg"))
    assert from_tar(str(path)).ids == [r"cat/1\x002.jpg"]


def test_what_is_no_regular_file_is_left_out(tmp_path):
    kinds = {"link": tarfile.SYMTYPE, "fifo": tarfile.FIFOTYPE, "disk": tarfile.BLKTYPE, "tty": tarfile.CHRTYPE}
    others = [member(f"cat/{name}.jpg", type=kind, linkname="/etc/passwd") for name, kind in kinds.items()]
    archive = pack(tmp_path / "a.tar", "cat/1.jpg", *others, member("cat/folder.jpg", type=tarfile.DIRTYPE))
    assert from_tar(archive).ids == ["cat/1.jpg"]


def test_hard_links_are_the_files_they_name(tmp_path):
    links = [
        member(f"dog/{n}.jpg", type=tarfile.LNKTYPE, linkname=to) for n, to in [(1, "./cat/1.jpg"), (2, "gone.jpg")]
    ]
    archive = pack(tmp_path / "a.tar", "cat/1.jpg", *links)
    listing = from_tar(archive)
    assert listing.ids == ["cat/1.jpg", "dog/1.jpg"]
    assert {read_file(archive, *span) for span in listing.spans.tolist()} == {b"cat/1.jpg"}


def test_a_name_twice(tmp_path):
    assert error_of(pack(tmp_path / "a.tar", "cat/1.jpg", "./cat/1.jpg")) == (
        "IMAGES should name every image once. Found: 'cat/1.jpg' 2 times."
    )


def test_no_images(tmp_path):
    assert error_of(pack(tmp_path / "a.tar", "readme.txt")) == (
        "IMAGES should hold images. Found: none; 1 file left out: .txt 1."
    )
    assert error_of(pack(tmp_path / "a.tar")) == "IMAGES should hold images. Found: none."


def test_cut_off_anywhere_is_an_error_or_complete(tmp_path):
    whole = Path(pack(tmp_path / "a.tar", "cat/1.jpg", "cat/" + "long" * 40 + ".jpg", "dog/3.jpg")).read_bytes()
    end = len(whole.rstrip(b"\0"))
    listed = 0
    for cut in {*range(0, len(whole), 100), *range(0, len(whole), 512), end - 1, end, end + 1}:
        (tmp_path / "cut.tar").write_bytes(whole[:cut])
        try:
            listed += len(from_tar(str(tmp_path / "cut.tar"))) == 3
        except BadInput as error:
            assert "should be an uncompressed tar. Found: " in str(error)
        else:
            assert cut > end
    assert listed > 0


@pytest.mark.parametrize("layout", ["gnu", "posix"])
def test_an_image_without_its_holes_is_refused_at_once(tmp_path, layout):
    """4 GB of which GNU tar packs nothing: taken for a whole file, other members would be its bytes."""
    for name in ("cat/1.jpg", "cat/disk.img"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        os.truncate(tmp_path / name, 4 << 30)
    for names in (["cat"], ["cat/disk.img"]):
        command = ["tar", f"--format={layout}", "-cSf", "a.tar", *names]
        subprocess.run(command, cwd=tmp_path, check=True)
        assert (tmp_path / "a.tar").stat().st_size < 1 << 20
        assert error_of(tmp_path / "a.tar") == (
            "IMAGES should have its images whole. Found: 'cat/1.jpg' without its holes.\n"
            "Pack it again without tar's option --sparse: tar -cf IMAGES.tar FOLDER."
            if names == ["cat"]
            else "IMAGES should hold images. Found: none; 1 file left out: special files 1."
        )


@pytest.mark.parametrize("size", [(1 << 31) - 512, 4 << 30])
def test_a_large_member_that_is_no_image_is_not_read(tmp_path, monkeypatch, size):
    """In an archive with a hole, so that it costs nothing to make: reading it would take the memory, and its time."""
    path = tmp_path / "a.tar"
    with open(path, "wb") as file:
        file.write(member("cat/1.jpg", size).tobuf())
        file.seek(size, os.SEEK_CUR)
        file.write(bytes(1024))
    (span,) = from_tar(str(path)).spans.tolist()
    assert span == [512, size]
    most = []
    monkeypatch.setattr(decode, "open", counting(most), raising=False)
    with pytest.raises(BadImage) as caught:
        read_file(str(path), *span)
    assert sum(most) <= 64
    found = caught.value
    assert (found.status, str(found)) in [
        (Status.NOT_AN_IMAGE, f"not an image: {size} bytes that begin {bytes(8)!r}"),
        (Status.TOO_LARGE, f"{size} bytes, more than the limit of {1 << 31}"),
    ]


def counting(most: list[int]) -> Callable[..., IO[bytes]]:
    """`open` for files that note how much is read."""

    def opened(*args: object, **kwargs: object) -> IO[bytes]:
        file = open(*args, **kwargs)  # type: ignore[call-overload]  # noqa: SIM115
        plain = file.read
        file.read = lambda count: most.append(count) or plain(count)
        return file

    return opened


def rewritten(path: Path, changes: dict[bytes, bytes]) -> Path:
    """The archive with bytes of its headers replaced, and the headers' sums right again."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content), 512):
        header = content[start : start + 512]
        if header[257:262] != b"ustar":
            continue
        for old, new in changes.items():
            header = header.replace(old, new)
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        content[start : start + 512] = header
    path.write_bytes(content)
    return path


def test_damaged_header_in_the_middle(tmp_path):
    path = Path(pack(tmp_path / "a.tar", "cat/1.jpg", "cat/2.jpg", "cat/3.jpg"))
    path.write_bytes(path.read_bytes().replace(b"cat/2.jpg\0", b"cat/x.jpg\0"))
    assert error_of(path) == (
        "IMAGES should be an uncompressed tar. Found: a damaged header at byte 1024.\n"
        "Pack or copy it again: tar -cf IMAGES.tar FOLDER."
    )


@pytest.mark.parametrize("size", [-512, -1024, -(1 << 40), 1 << 40, (1 << 63) - 1, 1 << 70])
def test_sizes_that_lie(tmp_path, size):
    path = Path(pack(tmp_path / "a.tar", "cat/1.jpg", "cat/2.jpg"))
    binary = b"\x80" if size >= 0 else b"\xff"
    encoded = binary + (size % (1 << 88)).to_bytes(11, "big")
    assert "should be an uncompressed tar" in error_of(rewritten(path, {b"%011o\0" % 9: encoded}))


@pytest.mark.parametrize(
    ("content", "program"),
    [
        (gzip.compress(b"x", mtime=0), "gunzip"),
        (b"BZh91AY&SY", "bunzip2"),
        (b"\xfd7zXZ\0\0", "unxz"),
        (b"\x28\xb5\x2f\xfd\0\0", "unzstd"),
    ],
    ids=["gzip", "bzip2", "xz", "zstd"],
)
def test_compressed_archive(tmp_path, content, program):
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    assert error_of(path).startswith("IMAGES should be an uncompressed tar. Found: ")
    assert error_of(path).endswith(f"\nUncompress it first: {program}.")


@pytest.mark.parametrize("content", [b"", b"not a tar", bytes(100), b"\xff" * 2000])
def test_other_files(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    assert "should be an uncompressed tar" in error_of(tmp_path / "a.tar")


def test_damaged_anywhere_never_raises(tmp_path):
    random = np.random.default_rng(2)
    whole = Path(pack(tmp_path / "a.tar", "cat/1.jpg", "cat/" + "long" * 40 + ".jpg", "dog/3.jpg")).read_bytes()
    outcomes = set()
    for _ in range(300):
        content = bytearray(whole)
        for place in random.integers(0, 5000, 2):
            content[place] = random.integers(256)
        (tmp_path / "x.tar").write_bytes(content)
        for path in (tmp_path / "x.tar", rewritten(tmp_path / "x.tar", {})):  # also where the sums are right
            try:
                outcomes.add(len(from_tar(str(path))))
            except BadInput:
                outcomes.add(0)
    assert {0, 3} <= outcomes
