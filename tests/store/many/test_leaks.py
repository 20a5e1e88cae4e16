"""Which images of files are the same, by a dictionary of all of them."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_files import write

from fne_cli.store.many import leaks
from fne_cli.store.many.joined import JoinedFiles


@pytest.mark.parametrize("colliding", [False, True])
@pytest.mark.parametrize("block", [1, 7, 4096])
def test_the_first_of_the_same_bytes_and_box(tmp_path, monkeypatch, colliding, block):
    monkeypatch.setattr(leaks, "BLOCK", block)
    if colliding:  # keys of 64 bits are compared first
        monkeypatch.setattr(leaks, "key_of", lambda content, box: 7)
    random = np.random.default_rng(0)
    known, files = {}, []
    expected = []
    for name in ("one", "two"):
        contents = ["" if number == 3 else f"{number:064x}" for number in random.integers(0, 25, 40).tolist()]
        boxes = random.choice(["", "#0,0,5,5", "#0,0,5,5.5"], 40).tolist()
        paths = [f"{name}/{number}.png{box}" for number, box in enumerate(boxes)]
        for own in zip(contents, boxes, strict=True):
            place = len(expected)
            expected.append(known.setdefault(own, place) if own[0] else place)
        rows = {"x": np.zeros((40, 2), np.int8)}
        files.append(write(tmp_path / f"{name}.h5", rows, [0] * 40, ["train"] * 40, sha256=contents, paths=paths))
    with JoinedFiles(files, "codes") as joined:
        assert leaks.first_of_same(joined).tolist() == expected
    assert len(set(expected)) < 70
