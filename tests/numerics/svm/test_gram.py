import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fne_cli.numerics.codes.packed import PackedCodes, Words, dense, is_ternary
from fne_cli.numerics.svm import gram as module
from fne_cli.numerics.svm.gram import exact_type, gram

CODES = hnp.arrays(np.int8, st.tuples(st.integers(1, 9), st.integers(1, 40)), elements=st.integers(-1, 1))


def random_codes(rows, features, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, (rows, features), dtype=np.int8)


def test_by_hand():
    codes = np.array([[1, -1, 0], [1, 1, 1]], np.int8)
    assert gram(codes).tolist() == [[3.0, 1.0], [1.0, 4.0]]
    assert PackedCodes.of(codes).positive.tolist() == [[0b001], [0b111]]
    assert PackedCodes.of(codes).negative.tolist() == [[0b010], [0b000]]


@settings(max_examples=30, deadline=None)
@given(CODES, st.data())
def test_packed_codes_come_back(codes, data):
    packed = PackedCodes.of(codes)
    start = data.draw(st.integers(0, codes.shape[1]))
    columns = slice(start, data.draw(st.integers(start, codes.shape[1])))
    assert packed.shape == codes.shape
    assert (dense(packed, columns, np.float32) == codes[:, columns]).all()
    assert (packed[::-1].dense(slice(None), np.float64) == codes[::-1]).all()


def test_planes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"uint8 of shape \(2, 2\)"):
        PackedCodes(np.zeros((2, 1), np.uint8), np.zeros((2, 2), np.uint8), 9)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_codes_are_exact_over_many_blocks(packed, counted, monkeypatch):
    monkeypatch.setattr(module, "COLUMNS", 50)
    monkeypatch.setattr(module, "TILE", 13)
    monkeypatch.setattr(module, "WORD_TILE", 17)
    if not counted:
        monkeypatch.setattr(module, "is_ternary", lambda rows: False)
    codes = random_codes(60, 333)
    wide = codes.astype(np.int64)
    product = gram(PackedCodes.of(codes) if packed else codes)
    assert product.dtype == np.float32
    assert (product == wide @ wide.T + 1).all()


def test_float32_only_where_it_is_exact():
    assert exact_type(random_codes(2, 12_416)) == np.float32
    assert exact_type(np.full((2, 2000), 127, np.int8)) == np.float64
    assert exact_type(np.full((2, 20), -128, np.int8)) == np.float32
    assert exact_type(np.ones((2, 2), np.float32)) == np.float64
    large = np.full((3, 2001), 127, np.int8)
    assert (gram(large) == 127 * 127 * 2001 + 1).all()


@pytest.mark.parametrize(("dtype", "unit"), [(None, 2.0**-53 * 2500), (np.float32, (1024 + 3) * 2.0**-24)])
def test_float_rows_keep_the_stated_error(dtype, unit):
    rows = np.random.default_rng(0).standard_normal((20, 2500))
    exact = (rows.astype(np.longdouble) @ rows.T.astype(np.longdouble) + 1).astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    assert (np.abs(gram(rows, dtype) - exact) <= unit * np.outer(norms, norms)).all()


def test_threads_do_not_change_a_bit():
    rows = np.random.default_rng(0).standard_normal((1100, 70))
    assert (gram(rows, threads=1) == gram(rows, threads=5)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(0, 99))
def test_counting_bits_is_multiplying(features, seed):
    codes, others = random_codes(70, features, seed), random_codes(5, features, seed + 1)
    for dtype in (np.int16, np.float32, np.float64):
        out = np.full((70, 9), -999, dtype)
        Words.of(codes).products(Words.of(PackedCodes.of(others)), 3, out[:, 2:7])
        assert (out[:, 2:7] == codes.astype(float) @ others.T + 3).all()
        assert (out[:, [0, 1, 7, 8]] == -999).all()


def test_what_is_ternary():
    assert is_ternary(random_codes(3, 5))
    assert is_ternary(np.zeros((0, 5), np.int8))
    assert not is_ternary(np.array([[2, 0]], np.int8))
    assert not is_ternary(np.array([[-2, 0]], np.int8))
    assert not is_ternary(random_codes(3, 5).astype(np.float32))
