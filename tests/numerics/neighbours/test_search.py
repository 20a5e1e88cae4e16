"""The nearest and all within a distance, against SciPy, scikit-learn and faiss."""

from __future__ import annotations

import math
from fractions import Fraction

import faiss
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fne_cli.errors import DoesNotFit
from fne_cli.machine import thread_pool
from fne_cli.numerics.codes.packed import PackedCodes
from fne_cli.numerics.neighbours import exact, search
from fne_cli.numerics.neighbours.exact import Floats, margin
from fne_cli.numerics.neighbours.planes import Planes
from fne_cli.numerics.neighbours.search import Wanted, find

MEMORY = 1 << 30
SCIPY = {"l1": "cityblock", "cosine": "cosine", "euclid": "euclidean"}


def random_codes(rows, features, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 0, 1], np.int8), (rows, features), p=[0.5, 0.15, 0.35])


def random_floats(rows, features, seed=0):
    return np.maximum(np.random.default_rng(seed).normal(size=(rows, features)), 0).astype(np.float32)


def whole(queries, rows, wanted, memory=MEMORY, own=None):
    """Lists of places and distances, for every query."""
    found = [part.of(number) for _, part in find(queries, rows, wanted, memory, own) for number in range(len(part))]
    return [places.tolist() for places, _ in found], [distances.tolist() for _, distances in found]


@pytest.fixture
def small_blocks(monkeypatch):
    for name, value in (("QUERIES", 16), ("BLOCK", 8), ("_TILE_OF_CODES", 4), ("_TILE_OF_FLOATS", 8)):
        monkeypatch.setattr(search, name, value)


@pytest.mark.parametrize("features", [1, 63, 64, 513, 1100])
def test_codes_alike_are_counted(features):
    queries, rows = random_codes(7, features, 1), random_codes(9, features, 2)
    left, right = Planes.of(PackedCodes.of(queries)), Planes.of(rows)
    wide = queries[:, None].astype(int), rows[None].astype(int)
    np.testing.assert_array_equal(left.alike(right), ((wide[0] == wide[1]) & (wide[0] != 0)).sum(axis=2))
    np.testing.assert_array_equal(left.products(right), queries.astype(int) @ rows.astype(int).T)
    np.testing.assert_array_equal(left.lengths, np.abs(queries.astype(int)).sum(axis=1))


@pytest.mark.parametrize("metric", SCIPY)
@pytest.mark.parametrize("packed", [True, False])
def test_the_nearest_codes_are_those_of_scipy_and_of_equal_ones_the_first(metric, packed):
    queries, rows = random_codes(30, 40, 1), random_codes(70, 40, 2)  # few features: many are equally far
    expected = np.abs(cdist(queries, rows, SCIPY[metric])).round(9)
    given = (PackedCodes.of(queries), PackedCodes.of(rows)) if packed else (queries, rows)
    places, distances = whole(*given, Wanted(metric, 9))
    order = np.argsort(expected, axis=1, kind="stable")[:, :9]
    assert places == order.tolist()
    np.testing.assert_allclose(distances, np.take_along_axis(expected, order, axis=1), atol=1e-8)


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_the_nearest_floats_are_those_of_scipy(metric):
    queries, rows = random_floats(20, 90, 1), random_floats(60, 90, 2)
    expected = cdist(queries.astype(float), rows.astype(float), SCIPY[metric])
    places, distances = whole(queries, rows, Wanted(metric, 5))
    order = np.argsort(expected, axis=1, kind="stable")[:, :5]
    assert places == order.tolist()
    np.testing.assert_allclose(distances, np.take_along_axis(expected, order, axis=1), rtol=1e-12, atol=1e-14)


def test_codes_are_found_as_faiss_finds_them():
    codes = random_codes(900, 160, 5)
    packed = PackedCodes.of(codes)
    bits = np.ascontiguousarray(np.concatenate([packed.positive, packed.negative], axis=1))
    index = faiss.IndexBinaryFlat(320)
    index.add(bits)
    expected, _ = index.search(bits[:50], 10)
    _, distances = whole(packed[:50], packed, Wanted("l1", 10))
    assert distances == expected.tolist()


@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_rounding_of_float32_changes_neither_who_is_found_nor_the_order(metric):
    # neighbours that differ by less than float32 can tell, some of them exactly equal, in a large common part
    generator = np.random.default_rng(3)
    common = 100 + generator.random(3000)
    rows = (common + 1e-4 * generator.integers(0, 3, (200, 3000))).astype(np.float32)
    rows[150:] = rows[:50]
    queries = rows[:10] + np.float32(0.001)
    places, distances = whole(queries, rows, Wanted(metric, 12))
    expected = np.array(
        [[exactly(query, row, metric) for row in rows.astype(float)] for query in queries.astype(float)]
    )
    order = np.argsort(expected, axis=1, kind="stable")[:, :12]
    chosen = np.take_along_axis(expected, np.array(places), axis=1)
    np.testing.assert_allclose(distances, chosen, rtol=1e-9, atol=1e-14)
    # float32 is wrong by 1e-5 here
    np.testing.assert_allclose(chosen, np.take_along_axis(expected, order, axis=1), rtol=1e-9, atol=1e-14)
    for own in places:  # equal rows: the first of them first
        for twin in (number for number in own if number >= 150):
            assert own.index(twin - 150) == own.index(twin) - 1


def exactly(query, row, metric):
    """By sums that are rounded once."""
    if metric == "euclid":
        return math.sqrt(math.fsum((query - row) ** 2))
    product, own, other = (math.fsum(parts) for parts in (query * row, query * query, row * row))
    return 1 - product / math.sqrt(own * other)


def test_the_margin_holds():
    generator = np.random.default_rng(4)
    for columns in (3, 700, 2500):
        rows = 0.1 + random_floats(60, columns, columns) + (generator.random((60, columns)) < 0.5) * np.float32(1e-3)
        with thread_pool() as pool:
            side = Floats.of(rows, pool, np.empty_like(rows))
            products = side.products(side)
        wide = rows.astype(np.longdouble)
        lengths = np.sqrt((wide * wide).sum(axis=1))
        cosines = (wide @ wide.T) / lengths[:, None] / lengths
        assert np.abs(products - cosines).max() < margin(columns)
    assert Fraction(margin(exact.WIDTH)) > Fraction(exact.WIDTH, 1 << 24)


@pytest.mark.parametrize("kind", ["codes", "floats"])
@pytest.mark.parametrize("crops", [1, 3])
@pytest.mark.parametrize("wanted", [{"count": 4}, {"count": 500}, {"within": 0.6}])
def test_blocks_change_no_bit(request, kind, crops, wanted):
    make = random_codes if kind == "codes" else random_floats
    queries, rows = make(crops * 37, 30, 1), make(crops * 43, 30, 2)
    at_once = whole(queries, rows, Wanted("cosine", crops=crops, **wanted))
    request.getfixturevalue("small_blocks")
    assert whole(queries, rows, Wanted("cosine", crops=crops, **wanted), memory=1 << 16 if "count" in wanted
                 else MEMORY) == at_once  # fmt: skip
    assert any(len(own) not in (0, 43) for own in at_once[0]) or wanted.get("count") == 500


def test_all_within_a_distance_are_found(small_blocks):
    queries, rows = random_codes(30, 40, 1), random_codes(70, 40, 2)
    expected = cdist(queries, rows, "cityblock")
    places, distances = whole(queries, rows, Wanted("l1", within=32))
    for number, own in enumerate(places):
        assert sorted(own) == np.flatnonzero(expected[number] <= 32).tolist()
        assert distances[number] == sorted(expected[number, own])
        assert own == sorted(own, key=lambda place: (expected[number, place], place))
    assert places != [[]] * 30


def test_an_image_is_not_its_own_neighbour(small_blocks):
    rows = random_codes(30, 40)
    rows[7] = rows[3]
    places, distances = whole(rows, rows, Wanted("l1", 1), own=np.arange(30))
    assert all(place != [number] for number, place in enumerate(places))
    assert (places[3], distances[3], places[7], distances[7]) == ([7], [0.0], [3], [0.0])
    floats = random_floats(30, 40)
    assert all(number not in own for number, own in enumerate(whole(floats, floats, Wanted("cosine", 29),
                                                                      own=np.arange(30))[0]))  # fmt: skip


@pytest.mark.parametrize("kind", ["codes", "floats"])
@pytest.mark.parametrize("metric", ["cosine", "euclid"])
def test_images_of_several_rows_are_as_far_apart_as_their_best_rows(kind, metric):
    make = random_codes if kind == "codes" else random_floats
    queries, rows = make(3 * 5, 24, 1), make(3 * 8, 24, 2)
    each = cdist(queries.astype(float), rows.astype(float), SCIPY[metric]).reshape(5, 3, 8, 3)
    expected = each.min(axis=3).mean(axis=1)
    places, distances = whole(queries, rows, Wanted(metric, 8, crops=3))
    np.testing.assert_allclose(distances, np.sort(expected, axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(expected, np.array(places), axis=1), distances, rtol=1e-9, atol=1e-12)


def test_equal_rows_are_nothing_apart_and_rows_of_zeros_at_right_angles():
    rows = random_floats(6, 1000)
    rows[2] = 0
    places, distances = whole(rows, rows, Wanted("cosine", 6))
    assert [own[0] for number, own in enumerate(distances) if number != 2] == [0.0] * 5
    assert distances[2] == [1.0] * 6
    assert places[2] == list(range(6))
    huge = np.full((2, 9), 3e38, np.float32)
    assert whole(huge, huge, Wanted("euclid", 2))[1] == [[0.0, 0.0]] * 2
    tiny = np.full((2, 9), 1e-44, np.float32)
    assert whole(tiny, tiny, Wanted("cosine", 2))[1] == [[0.0, 0.0]] * 2


def test_more_within_the_distance_than_fits_is_refused():
    rows = random_codes(300, 40)
    with pytest.raises(DoesNotFit, match=r"within a distance of 1000 should take at most .* not all were looked at"):
        whole(rows, rows, Wanted("l1", within=1000), memory=1 << 18)
