"""Every embedding that there is: known everywhere by its name, the same after a journey through its state."""

import numpy as np
import pytest

from fne_cli.errors import BadInput
from fne_cli.numerics.embedding import embedding, names

ROWS = np.maximum(np.random.default_rng(0).normal(0.5, 1, (50, 9)), 0).astype(np.float32)

WIDTHS = (2, 3, 4)


def test_the_published_one_comes_first():
    assert names()[0] == "fne"
    assert len(names()) == len(set(names())) >= 5


@pytest.mark.parametrize(
    "name", [*names(), "z", "unit,equal", "z,clip:2.5,root,equal,depth:3", "root,depth:0.5", "unit,length,pca:9,whiten"]
)
def test_what_every_embedding_promises(name):
    kind = embedding(name)
    fitted = kind.fit([ROWS[:20], ROWS[20:30]], WIDTHS)
    encoded = fitted.encode(ROWS)
    assert (encoded.shape, encoded.dtype) == (ROWS.shape, kind.dtype)
    assert tuple(fitted.state()) == kind.arrays
    square = {"axes": (9, 9)}
    for array, values in fitted.state().items():
        assert (values.shape, values.dtype) == (square.get(array, (9,)), np.float64)
    np.testing.assert_array_equal(kind.of_state(fitted.state(), WIDTHS).encode(ROWS), encoded)
    np.testing.assert_array_equal(fitted.encode(ROWS[7:8]), encoded[7:8])
    np.testing.assert_array_equal(kind.fit([ROWS[:30]], WIDTHS).encode(ROWS), encoded)
    assert kind.row_bytes(9) in (9 * encoded.itemsize, 4)  # packed, codes take two planes of two bytes
    assert kind.title


@pytest.mark.parametrize("name", ["forest", "", "__init__", "fne.py", "../raw"])
def test_another_name_is_refused_with_those_that_there_are(name):
    with pytest.raises(
        BadInput, match="The embedding should be one of fne, balanced, clipped, l2, raw, standardized; or pieces"
    ):
        embedding(name)


def test_the_command_offers_them_and_refuses_others(fne, tmp_path):
    assert f"--embedding [{'|'.join(names())}|PIECE,...]" in fne("evaluate", "--help").out
    refused = fne("evaluate", tmp_path / "a.h5", "--embedding", "forest")
    assert refused.code == 2
    assert "should be one of fne, balanced, clipped, l2, raw, standardized; or pieces" in refused.err
