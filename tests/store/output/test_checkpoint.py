from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from fne_cli.errors import DamagedFile
from fne_cli.store.output import checkpoint

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "number": np.array(7, np.int64),
    "none": np.zeros((0, 4), np.uint8),
    "transposed": np.arange(6.0).reshape(2, 3).T,
}


def test_what_was_written_comes_back(tmp_path):
    output = tmp_path / "x.keras"
    assert checkpoint.read(output) is None
    checkpoint.write(output, {"epoch": 3}, ARRAYS)
    head, arrays = checkpoint.read(output)
    assert head == {"epoch": 3} and arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype and np.array_equal(arrays[name], value)
    checkpoint.remove(output)
    assert list(tmp_path.iterdir()) == []


def test_any_byte_that_changes_and_any_end_that_is_missing_is_told(tmp_path):
    output = tmp_path / "x.keras"
    checkpoint.write(output, {"epoch": 3}, {"a": ARRAYS["a"]})
    place = checkpoint.place_of(output)
    whole = place.read_bytes()
    for number in range(len(whole)):
        for content in (whole[:number], whole[:number] + bytes([whole[number] ^ 1]) + whole[number + 1 :]):
            place.write_bytes(content)
            with pytest.raises(DamagedFile, match="--overwrite begins again"):
                checkpoint.read(output)


@pytest.mark.parametrize("told", [["a", "float32", [1 << 60]], ["a", "object", [1]], ["a", "float32", [-1]], "a", 5])
def test_claims_are_not_believed(tmp_path, told):
    output = tmp_path / "x.keras"
    head = json.dumps({"arrays": [told]}).encode()
    content = b"fne checkpoint 1\n" + len(head).to_bytes(8, "little") + head
    checkpoint.place_of(output).write_bytes(content + hashlib.sha256(content).digest())
    with pytest.raises(DamagedFile):
        checkpoint.read(output)
