"""Speed of exact search: ternary codes against faiss's IndexBinaryFlat on the same bytes, cosine against the product.

    python scripts/bench_search.py --rows 100000 --queries 1000 --features 12416
    python scripts/bench_search.py --activations photos.h5 --codes photos-codes.h5

Ours and the peer's take turns, --repeats times; medians are printed. "G words" are 64-bit words of codes compared a
second, two of them for 64 features. "popcounts" is how many words the processors can count the bits of, from the
nearest cache and without anything else to do; "bandwidth" is what one process reads from memory on all processors. The
cosine's limit is the bare float32 matrix product. Results are compared with faiss's: distances, all of them, and
places but for equal distances. Recall is how many of the ten nearest by z-scores are among the ten nearest by codes: of
real files if they are named, else of made rows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_sizes import at_least

from fne_cli.compiled import compiled
from fne_cli.machine import free_memory, processors
from fne_cli.numerics.codes.packed import PackedCodes, Rows
from fne_cli.numerics.neighbours.planes import _ones
from fne_cli.numerics.neighbours.search import Wanted, find
from fne_cli.store.many.joined import JoinedFiles
from fne_cli.vectors.options import VectorOptions
from fne_cli.vectors.vectors import Vectors

_SHARES = (0.35, 0.15)  # of 1 and of -1 among codes
COUNT = 10


def made_codes(rows: int, features: int, seed: int = 0) -> np.ndarray:
    """(rows, 2, features / 8) uint8: two planes of random codes."""
    generator = np.random.default_rng(seed)
    planes = np.empty((rows, 2, -(-features // 8)), np.uint8)
    for start in range(0, rows, 1000):
        values = generator.random((min(1000, rows - start), features), np.float32)
        planes[start : start + 1000, 0] = np.packbits(values < _SHARES[0], axis=1, bitorder="little")
        planes[start : start + 1000, 1] = np.packbits(values > 1 - _SHARES[1], axis=1, bitorder="little")
    return planes


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it returns."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def ours(queries: Rows, rows: Rows, metric: Any, own: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Distances and places of the nearest, (queries, COUNT) each."""
    parts = [found for _, found in find(queries, rows, Wanted(metric, COUNT), free_memory() // 2, own)]
    distances, places = (np.concatenate([getattr(part, name) for part in parts]) for name in ("distances", "places"))
    return distances.reshape(len(queries), -1), places.reshape(len(queries), -1)


@compiled("uint64(uint64[::1], int64)")
def _counted(words: np.ndarray, times: int) -> np.uint64:
    """The bits of some words, many times."""
    a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    quarter = len(words) // 4
    one, two, three, four = (
        words[:quarter],
        words[quarter : 2 * quarter],
        words[2 * quarter : 3 * quarter],
        words[3 * quarter :],
    )
    for number in range(times):
        mask = np.uint64(number)  # else a compiler would count only once
        for place in range(quarter):
            a += _ones(one[place] ^ mask)
            b += _ones(two[place] ^ mask)
            c += _ones(three[place] ^ mask)
            d += _ones(four[place] ^ mask)
    return a + b + c + d


@compiled("uint64(uint64[::1])")
def _added(words: np.ndarray) -> np.uint64:
    """The sum of words, to read them."""
    total = np.uint64(0)
    for place in range(len(words)):
        total += words[place]
    return total


def popcounts() -> float:
    """64-bit words a second whose bits all processors count, from the nearest cache."""
    words, times, threads = np.arange(1024, dtype=np.uint64), 1 << 17, processors()
    with ThreadPoolExecutor(threads) as pool:
        seconds, _ = timed(lambda: list(pool.map(lambda _: _counted(words, times), range(threads))))
    return threads * times * len(words) / seconds


def bandwidth() -> float:
    """Bytes a second that all processors read from memory together."""
    threads, words = processors(), np.ones(1 << 26, np.uint64)
    parts = np.array_split(words, threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds, _ = timed(lambda: list(pool.map(_added, parts)))
    return words.nbytes / seconds


def faiss_index(bits: np.ndarray) -> Any:
    """The peer, None where it is not installed."""
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: pip install faiss-cpu")
        return None
    index = faiss.IndexBinaryFlat(8 * bits.shape[1])
    index.add(bits)
    return index


def of_codes(given: argparse.Namespace) -> None:
    """Codes against faiss."""
    planes = made_codes(given.rows + given.queries, given.features)
    packed = [PackedCodes(part[:, 0], part[:, 1], given.features) for part in np.split(planes, [given.rows])]
    bits = planes.reshape(len(planes), -1)
    rates: dict[str, list[float]] = {"ours": [], "faiss": []}
    limits: dict[str, list[float]] = {"popcounts": [], "bandwidth": []}
    index = faiss_index(bits[: given.rows])
    ours(packed[1][:10], packed[0][:100], "l1")
    pairs = given.rows * given.queries
    for _ in range(given.repeats):
        seconds, found = timed(lambda: ours(packed[1], packed[0], "l1"))
        rates["ours"].append(pairs / seconds)
        if index is not None:
            seconds, theirs = timed(lambda: index.search(bits[given.rows :], COUNT))
            rates["faiss"].append(pairs / seconds)
            if not (found[0] == theirs[0]).all():
                raise SystemExit("distances differ from faiss's")
            unequal = found[1] != theirs[1]
            if (unequal & (found[0] < found[0][:, -1:]) & ~_tied(found[0])).any():
                raise SystemExit("places differ from faiss's")
        limits["popcounts"].append(popcounts())
        limits["bandwidth"].append(bandwidth())
    words = 2 * given.features / 64
    for who, found_rates in rates.items():
        if found_rates:
            rate = median(found_rates)
            print(f"{who:6} {rate / 1e6:8.1f} M distances/s  {rate * words / 1e9:6.2f} G words/s  "
                  f"{rate * given.features / 4 / 1e9:6.1f} GB/s of codes")  # fmt: skip
    rate, counted, read = median(rates["ours"]), median(limits["popcounts"]), median(limits["bandwidth"])
    print(f"limits: popcounts {counted / 1e9:.2f} G words/s, bandwidth {read / 1e9:.1f} GB/s; ours is "
          f"{rate * words / counted:.2f} and {rate * given.features / 4 / read:.2f} of them")  # fmt: skip
    if rates["faiss"]:
        print(f"ratio to faiss {rate / median(rates['faiss']):.2f}; all distances equal")


def _tied(distances: np.ndarray) -> np.ndarray:
    """Where a distance stands beside an equal one."""
    tied = np.zeros(distances.shape, bool)
    equal = distances[:, 1:] == distances[:, :-1]
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    return tied


def of_floats(given: argparse.Namespace) -> None:
    """Cosine against the bare product."""
    generator = np.random.default_rng(1)
    for features in given.widths:
        count = max(1000, min(given.rows, given.bytes // (4 * features)))
        rows = generator.standard_normal((count, features), np.float32)
        queries = generator.standard_normal((given.queries, features), np.float32)
        ours(queries[:10], rows[:100], "cosine")
        work = {"ours": partial(ours, queries, rows, "cosine"), "product": partial(np.matmul, queries, rows.T)}
        times: dict[str, list[float]] = {who: [] for who in work}
        for _ in range(given.repeats):
            for who, call in work.items():
                times[who].append(timed(call)[0])
        mine, bare = median(times["ours"]), median(times["product"])
        print(f"cosine, {features:,} features, {count:,} rows: {mine:.2f} s, bare product {bare:.2f} s, "
              f"{bare / mine:.2f} of it")  # fmt: skip


def recall(given: argparse.Namespace) -> None:
    """How many of the nearest by z-scores are found by codes."""
    if given.activations is None:
        generator = np.random.default_rng(2)
        centres = generator.standard_normal((100, 2000))
        scores = (centres[np.arange(5000) % 100] + 2 * generator.standard_normal((5000, 2000))).astype(np.float32)
        codes: Rows = PackedCodes.of((scores > 0.15).astype(np.int8) - (scores < -0.25).astype(np.int8))
        what = "made rows"
    else:
        with JoinedFiles(given.activations) as files, JoinedFiles(given.codes, "codes") as coded:
            images = np.flatnonzero(files.good)
            scores = np.asarray(
                Vectors(files, VectorOptions(embedding="standardized"), free_memory() // 2).rows(images)
            )
            codes = Vectors(coded, VectorOptions(), free_memory() // 2).rows(images)
        what = str(given.activations)
    own = np.arange(len(scores))
    right, found = (ours(rows, rows, metric, own)[1] for rows, metric in ((scores, "cosine"), (codes, "l1")))
    shared = np.mean([len({*a} & {*b}) / COUNT for a, b in zip(right.tolist(), found.tolist(), strict=True)])
    first = np.mean([a[0] in b for a, b in zip(right.tolist(), found.tolist(), strict=True)])
    features = scores.shape[1]
    print(f"{what}: recall@{COUNT} of codes against z-scores {100 * shared:.1f} %, the nearest among them "
          f"{100 * first:.1f} %; bytes an image {2 * -(-features // 8):,} and {4 * features:,}")  # fmt: skip


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, least, usual in (
        *(("rows", COUNT, 100_000), ("queries", 1, 1000), ("features", 1, 12_416), ("repeats", 1, 5)),
    ):
        parser.add_argument(f"--{name}", type=at_least(least), default=usual)
    parser.add_argument(
        "--widths", type=at_least(1), nargs="*", default=[12_416, 2048, 512], help="features of the cosine"
    )
    parser.add_argument("--bytes", type=int, default=1 << 30, help="of the cosine's rows at most")
    parser.add_argument("--activations", type=Path)
    parser.add_argument("--codes", type=Path)
    given = parser.parse_args()
    if (given.activations is None) != (given.codes is None):
        parser.error("--activations and --codes go together")
    recall(given)
    of_codes(given)
    of_floats(given)


if __name__ == "__main__":
    main()
