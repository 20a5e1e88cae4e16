#!/usr/bin/env python3
"""How fast normalize and discretize go through a file, beside scikit-learn, NumPy, and plainly reading it.

    scripts/bench_stream.py                                  20,000 x 12,416 float32 (1 GB): some minutes, 3 GB of disk
    scripts/bench_stream.py --rows 2000 --sections normalize

Every round runs all contestants one after the other; the table has the medians of the rounds. "cached": the file is in
the page cache. "cold": its pages were dropped (posix_fadvise) before every contestant; outputs are synced either way.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_sizes import at_least

from fne_cli.numerics.codes import ternary
from fne_cli.steps.discretize import discretize
from fne_cli.steps.normalize import normalize
from fne_cli.store.format.reader import open_file
from fne_cli.store.format.schema import Images, Layer, fingerprint
from fne_cli.store.format.writer import Writer

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096)  # VGG16
SECTIONS = ("normalize", "discretize", "packed", "memory", "images")
BATCH = 1024


def make(path: Path, rows: int, widths: tuple[int, ...] = WIDTHS) -> Path:
    """Activations like those behind a ReLU: half to nine tenths zeros, scales over three decades."""
    rng = np.random.default_rng(0)
    images = Images(
        path=[f"class{n % 100:03d}/image{n:07d}.jpg" for n in range(rows)],
        split=["test" if n % 4 == 0 else "train" for n in range(rows)],
        label=np.arange(rows, dtype=np.int32) % 100,
        classes=[f"class{n:03d}" for n in range(100)],
        status=np.zeros(rows, np.uint8),
        message=[""] * rows,
        sha256=[f"{n:064x}" for n in range(rows)],
    )
    layers = [Layer(f"layer{n:02d}", (width,), np.dtype(np.float32)) for n, width in enumerate(widths)]
    settings = {"crops": 1, "model": "synthetic"}
    with Writer.create(
        path,
        "activations",
        layers,
        rows,
        settings=settings,
        sources=[],
        software={},
        fingerprint=fingerprint("activations", settings, [], images),
        images=images,
    ) as writer:
        for layer in layers:
            scale = (10.0 ** rng.uniform(-1.5, 1.5, layer.features)).astype(np.float32)
            shift = rng.uniform(-1.3, 0, layer.features).astype(np.float32)
            for start in range(0, rows, BATCH):
                count = min(BATCH, rows - start)
                values = rng.standard_normal((count, layer.features), np.float32)
                writer.append(layer.name, np.maximum(values + shift, 0) * scale)
    return path


def read_bytes(path: Path) -> None:
    """Plain read of the file: the kernel's copy, nothing checked."""
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_hdf5(path: Path) -> None:
    """Plain read through h5py: HDF5 checks its checksums."""
    with open_file(path) as file:
        for layer in file.layers.values():
            for _ in layer.batches(BATCH):
                pass


def partial_fit(path: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    with open_file(path, "activations") as file:
        train = np.array([split == "train" for split in file.images.split])
        for layer in file.layers.values():
            scaler = StandardScaler()
            for span, rows in layer.batches(BATCH):
                scaler.partial_fit(rows[train[span]])


def numpy_codes(path: Path, moments: Path, output: Path) -> None:
    """Standardise, compare, astype, write: the same batches, the same layout of the output, synced."""
    output.unlink(missing_ok=True)
    with open_file(path, "activations") as file, open_file(moments, "moments") as statistics_file:
        table = statistics_file.moments()
        layers = [Layer(name, (layer.features,), np.dtype(np.int8)) for name, layer in file.layers.items()]
        with Writer.create(
            output, "codes", layers, len(file.images), settings={}, sources=[], software={}, images=file.images
        ) as writer:
            for name, layer in file.layers.items():
                for _, rows in layer.batches(BATCH):
                    scores = ternary.standardize(rows, table[name]["mean"], table[name]["std"])
                    writer.append(name, ternary.encode(scores))


def drop(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def race(runners: dict[str, Callable[[], None]], path: Path, repeats: int, cold: bool) -> dict[str, list[float]]:
    """Seconds of each runner in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(repeats):
        for name, run in runners.items():
            if cold:
                drop(path)
            else:
                read_bytes(path)
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return seconds


def report(title: str, seconds: dict[str, list[float]], gigabytes: float, ours: str) -> dict[str, Any]:
    """Print medians, spread, speed, and how many times faster `ours` is."""
    print(f"\n{title}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{'':34}{'median s':>10}{'min':>8}{'max':>8}{'GB/s':>8}{ours + ' is':>16}")
    for name, values in seconds.items():
        ratio = f"{medians[name] / medians[ours]:.2f} x" if name != ours else ""
        numbers = f"{medians[name]:10.3f}{min(values):8.3f}{max(values):8.3f}{gigabytes / medians[name]:8.2f}"
        print(f"{name:34}{numbers}{ratio:>16}")
    return {"title": title, "seconds": seconds, "gigabytes": gigabytes}


def peak(*arguments: object) -> tuple[float, float]:
    """Seconds and peak resident MB of the command, interpreter and compiled code included."""
    # getrusage would count the memory of this process, which the child shares until it becomes another program
    program = (
        "import sys\nfrom fne_cli.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit as end: assert not end.code, end\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - began, int(run.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=at_least(2), default=20_000)
    parser.add_argument("--repeats", type=at_least(1), default=5)
    parser.add_argument("--sections", default=",".join(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--folder", type=Path, help="where the files go; they are removed at the end")
    parser.add_argument("--json", type=Path, help="also write all seconds there")
    options = parser.parse_args()
    sections = options.sections.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"--sections should be of {', '.join(SECTIONS)}. Found: {', '.join(sorted(unknown))}")
    folder = Path(tempfile.mkdtemp(prefix="bench_stream_", dir=options.folder))
    try:
        results = bench(folder, options.rows, options.repeats, sections)
    finally:
        shutil.rmtree(folder)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def bench(folder: Path, rows: int, repeats: int, sections: list[str]) -> list[dict[str, Any]]:
    """All sections; files go to `folder`."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores ({model[0] if model else '?'}), ", end="")
    print(f"load {os.getloadavg()[0]:.1f}; {rows:,} rows x {sum(WIDTHS):,} float32")
    path, moments, codes = make(folder / "a.h5", rows), folder / "m.h5", folder / "c.h5"
    gigabytes = path.stat().st_size / 1e9
    results = []
    normalize(path, moments, overwrite=True)  # compiles
    discretize(path, moments, codes, overwrite=True)
    discretize(path, moments, folder / "p.h5", packed=True)

    for cold in (False, True):
        where = "cold" if cold else "cached"
        if "normalize" in sections:
            runners: dict[str, Callable[[], None]] = {
                "plain read of the bytes": lambda: read_bytes(path),
                "plain read through h5py": lambda: read_hdf5(path),
                "StandardScaler.partial_fit": lambda: partial_fit(path),
                "normalize": lambda: (normalize(path, moments, overwrite=True), None)[1],
                "normalize --rows all": lambda: (normalize(path, moments, rows="all", overwrite=True), None)[1],
            }
            results.append(report(f"normalize, {where}", race(runners, path, repeats, cold), gigabytes, "normalize"))
        normalize(path, moments, overwrite=True)
        if "discretize" in sections:
            runners = {
                "plain read of the bytes": lambda: read_bytes(path),
                "plain read through h5py": lambda: read_hdf5(path),
                "NumPy pipeline": lambda: numpy_codes(path, moments, folder / "n.h5"),
                "discretize": lambda: (discretize(path, moments, codes, overwrite=True), None)[1],
                "discretize --packed": lambda: (
                    discretize(path, moments, folder / "p.h5", packed=True, overwrite=True),
                    None,
                )[1],
            }
            results.append(report(f"discretize, {where}", race(runners, path, repeats, cold), gigabytes, "discretize"))
    if "packed" in sections:
        for name, file in (("int8", codes), ("packed", folder / "p.h5")):
            for cold in (False, True):
                seconds = statistics.median(race({name: lambda file=file: read_hdf5(file)}, file, repeats, cold)[name])  # type: ignore[misc]  # a default in a lambda
                size = file.stat().st_size
                speed = rows * sum(WIDTHS) / seconds / 1e9
                print(
                    f"{name}, {'cold' if cold else 'cached'}: {size:,} bytes ({size / rows:,.0f} per image), "
                    f"read as codes in {seconds:.3f} s = {speed:.2f} billion codes/s"
                )
                results.append({"title": f"read {name}", "cold": cold, "bytes": size, "seconds": seconds})
    if "memory" in sections:
        small = make(folder / "small.h5", max(1, rows // 4))
        for source in (small, path):
            count = rows if source is path else rows // 4
            for command in (
                ("normalize", source, folder / "x.h5"),
                ("discretize", source, moments, folder / "y.h5"),
                ("discretize", source, moments, folder / "y.h5", "--packed"),
            ):
                seconds, megabytes = peak(*command, "--overwrite", "-q")
                name = " ".join([command[0], *(str(word) for word in command[3:] if str(word).startswith("--"))])
                print(f"peak memory at {count:,} rows, {name}: {megabytes:.0f} MB ({seconds:.2f} s with start-up)")
                results.append({"title": name, "rows": count, "megabytes": megabytes, "seconds": seconds})
    if "images" in sections:
        for count in (50_000, 500_000):
            many = make(folder / "many.h5", count, (8,))
            table, output = folder / "x.h5", folder / "y.h5"
            for command in (("normalize", many, table), ("discretize", many, table, output)):
                _, megabytes = peak(*command, "--overwrite", "-q")
                print(f"peak memory at {count:,} images x 8 features, {command[0]}: {megabytes:.0f} MB")
                results.append({"title": f"images {command[0]}", "rows": count, "megabytes": megabytes})
    return results


if __name__ == "__main__":
    main()
