"""JSON that people can read: the same value as json's, numbers of a list on one line."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.store.output.record import pretty

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@given(value=VALUES)
def test_it_says_what_json_says(value):
    text = pretty(value, allow_nan=False).decode("utf-8", "surrogatepass")
    assert json.loads(text) == json.loads(json.dumps(value))


def test_numbers_of_a_list_stand_on_one_line():
    value = {"name": "ü", "confusion": [[3, 0], [1, 2]], "lines": ["a", "b"], "empty": [], "none": {}, 5: (1.5, None)}
    assert pretty(value).decode() == (
        '{\n  "name": "ü",\n  "confusion": [\n    [3, 0],\n    [1, 2]\n  ],\n'
        '  "lines": [\n    "a",\n    "b"\n  ],\n  "empty": [],\n  "none": {},\n  "5": [1.5, null]\n}\n'
    )


def test_what_json_has_not_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        pretty([math.nan], allow_nan=False)
    with pytest.raises(TypeError):
        pretty({"a": object()})
    assert json.loads(pretty({"name": "\udc80"})) == {"name": "\udc80"}
