"""What Dask costs: `fne extract --cluster local:N` against N plain processes with --shard, which take turns.

    python scripts/bench_cluster.py [--images 4000] [--model mini] [--workers 2] [--rounds 5] [--shards 8]

Both write the same file. Plain: N processes at once, each with its share of the cores, one shard each, then `fne
merge`. Dask: one command, `--shards` shards, merge included.

whole    seconds from the first process's start to the merged file: starting, importing and building are in it, and
         weigh the less the longer the job is
steady   images per second while images go through: from the run records, N x images / sum of the runs' seconds, so that
         neither start nor merge is in it, but all that Dask does meanwhile is (and, on both sides, compiling the
         network once in each process: give it images enough)

Medians of the rounds, and of the ratios within a round. Prints a table and a JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_extract import write_photos
from bench_sizes import at_least

FNE = [sys.executable, "-m", "fne_cli"]


def extract(folder: Path, output: str, model: str, *more: str) -> list[str]:
    """The words of `fne extract`."""
    weights = [] if model == "mini" or model.endswith(".keras") else ["--weights", "random"]
    return [*FNE, "extract", str(folder / "photos"), str(folder / output), "--model", model, *weights, "-q", *more]


def plain(folder: Path, model: str, workers: int) -> dict[str, float]:
    """N processes with --shard, and the merge."""
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    names = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "NUMBA_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP")
    share = os.environ | {f"{name}_THREADS": str(threads) for name in names}
    shards = [f"plain-{number}.h5" for number in range(1, workers + 1)]
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            extract(folder, name, model, "--shard", f"{number}/{workers}", "--workers", str(threads)), env=share
        )
        for number, name in enumerate(shards, start=1)
    ]
    for process in running:
        if process.wait():
            raise SystemExit("a plain process failed")
    subprocess.run(
        [*FNE, "merge", *(str(folder / name) for name in shards), str(folder / "plain.h5"), "-q"], check=True
    )
    whole = time.perf_counter() - began
    return {"whole": whole, "steady": steady([folder / name for name in shards], workers)}


def dask(folder: Path, model: str, workers: int, rows: int) -> dict[str, float]:
    """One command with --cluster."""
    began = time.perf_counter()
    words = extract(folder, "dask.h5", model, "--cluster", f"local:{workers}", "--shard-rows", str(rows))
    subprocess.run(words, check=True)
    whole = time.perf_counter() - began
    return {"whole": whole, "steady": steady([folder / "dask.h5"], workers)}


def steady(outputs: list[Path], workers: int) -> float:
    """Images per second of all workers together while they worked."""
    records = [json.loads(path.with_name(path.name + ".run.json").read_text()) for path in outputs]
    runs = [run for record in records for run in record["runs"]]
    return float(workers * sum(run["images"] for run in runs) / sum(run["seconds"] for run in runs))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(1), default=4000)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--workers", type=at_least(1), default=2)
    parser.add_argument("--rounds", type=at_least(1), default=5)
    parser.add_argument("--shards", type=at_least(1), default=8)
    options = parser.parse_args()
    if options.images < (most := max(options.workers, options.shards)):
        parser.error(f"--images should be at least {most}, one for each worker and shard. Found: {options.images}.")
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photos(folder / "photos", options.images)
        for number in range(options.rounds):
            ways = {
                "plain": lambda: plain(folder, options.model, options.workers),
                "dask": lambda: dask(folder, options.model, options.workers, -(-options.images // options.shards)),
            }
            order = list(ways) if number % 2 else list(ways)[::-1]
            rounds.append({way: ways[way]() for way in order})
            if (folder / "plain.h5").read_bytes() != (folder / "dask.h5").read_bytes():
                raise SystemExit("plain.h5 and dask.h5 should have the same bytes")
            for path in folder.glob("*.h5*"):
                path.unlink()
    figures: dict[str, Any] = {"options": vars(options), "rounds": rounds}
    for what, better in (("whole", "plain"), ("steady", "dask")):  # seconds; images per second
        other = "dask" if better == "plain" else "plain"
        middle = {way: statistics.median(each[way][what] for each in rounds) for way in ("plain", "dask")}
        ratio = statistics.median(each[better][what] / each[other][what] for each in rounds)
        figures[what] = {**middle, "throughput_of_plain": ratio}
        unit = "s" if what == "whole" else "images/s"
        print(f"{what}: plain {middle['plain']:.2f} {unit}, Dask {middle['dask']:.2f}: {ratio:.3f} of its throughput")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
