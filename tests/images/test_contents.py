"""Whether images are still what they were."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fne_cli.images.contents import listing_digest, read_digests, state_digest
from fne_cli.images.lists.listing import Listing
from fne_cli.images.lists.tree import from_folder


@pytest.fixture
def listing(tmp_path) -> Listing:
    for number, name in enumerate(("a/1.jpg", "a/2.jpg", "b/1.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content %d" % number)
    return from_folder(str(tmp_path))


def sums(listing: Listing) -> list[str]:
    return [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in listing.files]


def test_listing_digest_tells_apart_what_a_listing_says(listing):
    others = [
        listing,
        replace(listing, ids=[*listing.ids[:2], "b/2.jpg"]),
        replace(listing, ids=[*listing.ids[:2], "b/1.jpg#0,0,1,1"]),
        replace(listing, splits=["train", "", ""]),
        replace(listing, labels=[("a",), ("b",), ("b",)]),
        replace(listing, labels=[("a",), (), ("b",)]),
        replace(listing, several=True),  # the same labels, but a table of another shape
        replace(listing, several=True, ignored=[(), ("b",), ()]),
        replace(listing, ids=["a/1.jpg", "a/2.jpg\n", "b/1.jpg"]),
    ]
    assert len({listing_digest(other) for other in others}) == len(others)
    assert listing_digest(replace(listing, files=["x", "y", "z"])) == listing_digest(listing)


def test_state_digest_changes_with_size_time_and_existence(listing):
    digests = {state_digest(listing)}
    path = Path(listing.files[1])
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    assert state_digest(listing) in digests
    path.write_bytes(b"longer than before")
    os.utime(path, ns=times)
    digests.add(state_digest(listing))
    os.utime(path, ns=(times[0], times[1] + 1))
    digests.add(state_digest(listing))
    path.unlink()
    digests.add(state_digest(listing))
    assert len(digests) == 4
    path.mkdir()
    assert state_digest(listing) in digests  # neither is a file


@pytest.mark.parametrize("threads", [1, 3])
def test_digests_are_those_of_sha256sum(listing, threads):
    seen: list[int] = []
    first, second, third = sums(listing)
    assert read_digests(listing, threads, seen.append) == [first, second, third]
    assert sum(seen) == 3
    Path(listing.files[1]).write_bytes(b"content 9")
    Path(listing.files[2]).unlink()
    found = read_digests(listing, threads, seen.append)
    assert found == [first, hashlib.sha256(b"content 9").hexdigest(), ""]


def test_members_of_an_archive_are_read_by_their_span(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"....one.three")
    spans = np.array([[4, 3], [8, 5]])
    listing = Listing(["1", "2"], [str(tmp_path / "a.tar")] * 2, ["", ""], [(), ()], spans=spans)
    known = [hashlib.sha256(text).hexdigest() for text in (b"one", b"three")]
    assert read_digests(listing, 2, lambda count: None) == known
