"""JSON from files: what is read, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fne_cli.store.format.text import parse_json

plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=10,
)


@given(value=plain_json)
def test_json_is_read_as_python_reads_it(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "nan", "NaN", "[Infinity]", '{"a": -Infinity}', "[1e999]", "[-1e999]", '"\\x"', b'"\xe9"'),
        *("[" * 50 + "]" * 50, "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, "9" * 5000, b"\xff\xfe{}"),
    ],
)
def test_json_that_is_refused(text):
    with pytest.raises(ValueError):  # the messages are the json module's
        parse_json(text)


def test_wide_json_is_not_deep_json():
    value = {"layers": {str(number): "avg" for number in range(20_000)}}
    assert parse_json(json.dumps(value)) == value
