"""Time and memory of the signed Kolmogorov-Smirnov matrix against a loop over scipy.stats.ks_2samp.

    python scripts/bench_analyze.py --images 5000 --classes 100 --features 12416

Both get the same made activations: normal noise and class shifts behind a ReLU, so about half the values are exact
zeros. `ours` is fne's step, file to file: reading with checksums, s, z, random classes, labels, thresholds, writing and
syncing. `scipy` is the statistic alone, of a random --sample of pairs, one call each (method "asymp": the exact p-value
takes longer), scaled to all pairs; its values are in memory and split by class before the clock starts. Each run is a
process of its own, in turn; ours has a thread for each core, SciPy has none; "one core" is ours pinned to one. Medians
over --repeats, ratios within a turn; peaks are VmHWM.

Neither sorting each feature once nor reading the file can be left out: "limit" is NumPy's sort of as many 64-bit keys,
on all cores, and a plain read of the file, measured in the same turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_sizes import at_least

LAYERS = 15


def peak() -> float:
    """MiB that this process has held at most; getrusage would count what its parent held, too."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def values_of(images: int, features: int, labels: np.ndarray, seed: int) -> np.ndarray:
    """(images, features) float32 behind a ReLU; each class shifts some of the features."""
    generator = np.random.default_rng(seed)
    shifts = generator.normal(0, 1, (labels.max() + 1, features)).astype(np.float32)
    shifts[np.abs(shifts) < 1] = 0
    return np.maximum(generator.standard_normal((images, features), np.float32) + shifts[labels], 0)


def labels_of(images: int, classes: int, uneven: bool) -> np.ndarray:
    """Classes of equal sizes, or of sizes from 0.5 to 1.5 times the mean."""
    weights = np.linspace(0.5, 1.5, classes) if uneven else np.ones(classes)
    edges = np.rint(np.cumsum(weights) / weights.sum() * images).astype(int)
    labels = np.searchsorted(edges, np.arange(images), side="right")
    return np.random.default_rng(0).permutation(labels).astype(np.int32)


def write(folder: Path, images: int, classes: int, features: int, uneven: bool) -> None:
    """The activations file, in LAYERS layers."""
    from fne_cli.store.format.schema import Images, Layer, fingerprint
    from fne_cli.store.format.writer import Writer

    labels = labels_of(images, classes, uneven)
    table = Images(
        path=[f"{number}.png" for number in range(images)],
        split=["train"] * images,
        label=labels,
        classes=[f"class {number:03d}" for number in range(classes)],
        status=np.zeros(images, np.uint8),
        message=[""] * images,
        sha256=["0" * 64] * images,
    )
    widths = np.diff(np.linspace(0, features, LAYERS + 1).astype(int)).tolist()
    specs = [Layer(f"layer{number}", (width,), np.dtype(np.float32)) for number, width in enumerate(widths)]
    settings = {"crops": 1}
    with Writer.create(
        folder / "a.h5", "activations", specs, images, settings=settings, sources=[], software={},
        fingerprint=fingerprint("activations", settings, [], table), images=table,
    ) as writer:  # fmt: skip
        for number, spec in enumerate(specs):
            writer.append(spec.name, values_of(images, spec.features, labels, number))


def ours(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The whole step."""
    from fne_cli.steps.analyze import analyze

    if asked.who == "one core":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=folder) as small:  # compile, or load what was compiled
        write(Path(small), 50, 5, 30, uneven=False)
        analyze(Path(small) / "a.h5", Path(small) / "b.h5")
    began, busy = time.perf_counter(), time.process_time()
    analyze(folder / "a.h5", folder / "b.h5", random_classes=asked.random_classes, overwrite=True)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - busy, "mib": peak()}


def scipys(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """A sample of pairs, scaled; and whether the step's file has the same numbers."""
    import h5py
    from scipy.stats import ks_2samp

    generator = np.random.default_rng(asked.seed)
    with h5py.File(folder / "a.h5") as file, h5py.File(folder / "b.h5") as behavior:
        label, name = file["images/label"][:], f"layer{generator.integers(LAYERS)}"
        values, found = file["layers"][name][:].T, behavior["layers"][name]["s"][:]
    features, classes = (
        generator.integers(len(values), size=asked.sample),
        generator.integers(asked.classes, size=asked.sample),
    )
    pairs = [
        (values[j, label == c].copy(), values[j, label != c].copy()) for j, c in zip(features, classes, strict=True)
    ]
    ks_2samp(*pairs[0], method="asymp")
    began, busy = time.perf_counter(), time.process_time()
    theirs = [ks_2samp(inside, others, method="asymp").statistic for inside, others in pairs]
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    times = asked.features * asked.classes / asked.sample
    apart = float(np.abs(np.abs(found[features, classes]) - theirs).max())
    return {"seconds": seconds * times, "cpu": cpu * times, "mib": peak(), "apart": apart}


def limit(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Sorting all features on all cores, and reading the file."""
    cores = len(os.sched_getaffinity(0))
    keys = np.random.default_rng(0).integers(0, 1 << 63, (64 * cores, asked.images), dtype=np.uint64)
    keys[:, ::2] &= np.uint64(0xFFFFFFFF)  # half of them zeros, as far as ranks go
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(np.ndarray.sort, keys[:, :64].copy()))
        began = time.perf_counter()
        list(pool.map(np.ndarray.sort, keys))
        seconds = (time.perf_counter() - began) * asked.features / len(keys)
    began = time.perf_counter()
    with open(folder / "a.h5", "rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass
    return {"seconds": seconds, "read": time.perf_counter() - began, "mib": peak(), "cpu": 0.0}


WORK = {"ours": ours, "one core": ours, "scipy": scipys, "limit": limit}


def child(folder: Path, who: str, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    words = ["--child", str(folder), "--who", who, "--seed", str(seed)]
    for name in ("images", "classes", "features", "sample", "random_classes"):
        words += [f"--{name.replace('_', '-')}", str(getattr(asked, name))]
    done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(asked: argparse.Namespace) -> None:
    """All contestants in turn, and what comes out."""
    contestants = ("ours", "one core", "scipy", "limit")
    results: dict[str, list[dict[str, Any]]] = {who: [] for who in contestants}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, asked.images, asked.classes, asked.features, asked.uneven)
        for number in range(asked.repeats):
            for who in contestants:
                results[who].append(child(folder, who, number, asked))
    sizes = "uneven" if asked.uneven else "equal"
    print(f"{asked.images:,} images x {asked.classes} classes ({sizes}) x {asked.features:,} features, "
          f"{asked.random_classes} random classes of each size, {len(os.sched_getaffinity(0))} cores")  # fmt: skip
    middle = {}
    for who, runs in results.items():
        own = middle[who] = {key: median(run[key] for run in runs) for key in runs[0]}
        times = " ".join(f"{run['seconds']:.2f}" for run in runs)
        print(f"  {who:9} {own['seconds']:9.2f} s {own['cpu']:9.2f} s CPU {own['mib']:6.0f} MiB   {times}")
    for who in ("ours", "one core"):
        ratios = [
            theirs["seconds"] / own["seconds"] for own, theirs in zip(results[who], results["scipy"], strict=True)
        ]
        print(f"  {who}: {median(ratios):.0f} times faster than the loop ({min(ratios):.0f} to {max(ratios):.0f})")
    print(f"  largest difference of |s| from SciPy's: {max(run['apart'] for run in results['scipy']):.1e} (float32)")
    sort, read = middle["limit"]["seconds"], middle["limit"]["read"]
    print(f"  sorting alone {sort:.2f} s, reading the file {read:.2f} s: ours takes "
          f"{middle['ours']['seconds'] / (sort + read):.1f} times both")  # fmt: skip


def main() -> None:
    """Measure, or be one of the contestants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=at_least(4), default=5000)
    parser.add_argument("--classes", type=at_least(2), default=100)
    parser.add_argument("--features", type=at_least(1), default=12416)
    parser.add_argument("--random-classes", type=at_least(1), default=20)
    parser.add_argument("--sample", type=at_least(1), default=2000, help="pairs that SciPy is timed on")
    parser.add_argument("--repeats", type=at_least(1), default=3)
    parser.add_argument("--uneven", action="store_true", help="classes of 100 different sizes: most random classes")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--who", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.images < 2 * asked.classes:
        parser.error(f"--images should be at least {2 * asked.classes}, two of each class. Found: {asked.images}.")
    if asked.child:
        print(json.dumps(WORK[asked.who](asked.child, asked)))
    else:
        measure(asked)


if __name__ == "__main__":
    main()
