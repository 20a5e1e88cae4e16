"""Regions of large photographs through fne extract, an image decoded once for its regions or once for each of them.

    python scripts/bench_regions.py FOLDER --model MODEL.keras --preprocess caffe [--photos 12] [--side 4000]

Makes photographs of SIDE x 3/4 SIDE pixels (smooth noise, JPEG) below FOLDER, divides them by `fne split --regions
sliding:3` (14 regions each), and extracts twice, each time in a process of its own: in the manifest's order, and with
the regions of different photographs taking turns, so that no two of one photograph follow each other. Both give the
same rows. Prints regions per second and the largest memory of the process. Also with twice as many photographs, in
order.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
from bench_sizes import at_least
from PIL import Image


def make_photos(folder: Path, count: int, side: int) -> None:
    """Noise at a tenth of the size, enlarged: as large as a photograph when compressed, and as slow to decode."""
    for number in range(count):
        path = folder / f"{number:03d}.jpg"
        if not path.exists():
            rng = np.random.default_rng(number)
            coarse = rng.integers(0, 256, (side * 3 // 40, side // 10, 3), np.uint8)
            Image.fromarray(coarse).resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(path, quality=90)


def in_turns(manifest: Path, other: Path) -> None:
    """The same rows, first those of the first regions of all photographs, then of the second ones, and so on."""
    with open(manifest, newline="") as file:
        head, *rows = list(csv.reader(file))
    photos = list(dict.fromkeys(row[0] for row in rows))
    own = {photo: [row for row in rows if row[0] == photo] for photo in photos}
    with open(other, "w", newline="") as file:
        csv.writer(file).writerows([head, *(own[p][n] for n in range(len(own[photos[0]])) for p in photos)])


def measured(output: Path, manifest: Path, photos: Path, options: list[str]) -> tuple[float, int]:
    """Regions per second, and the largest memory in MB."""
    output.unlink(missing_ok=True)
    words = ["extract", str(manifest), str(output), "--root", str(photos), "-q", *options]
    child = os.fork()
    if child == 0:
        code = subprocess.run([sys.executable, "-m", "fne_cli", *words]).returncode
        Path(f"{output}.mb").write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
        os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        sys.exit("fne extract failed")
    run = json.loads(Path(f"{output}.run.json").read_text())["runs"][-1]
    return run["images_per_second"], int(Path(f"{output}.mb").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=at_least(2, "they take turns"), default=12)
    parser.add_argument("--side", type=at_least(100, "it is divided into regions"), default=4000)
    known, options = parser.parse_known_args()
    rows = []
    for count in (known.photos, 2 * known.photos):
        photos = known.folder / f"photos{count}-{known.side}"
        photos.mkdir(parents=True, exist_ok=True)
        make_photos(photos, count, known.side)
        manifest, turns = known.folder / f"{count}.csv", known.folder / f"{count}-turns.csv"
        subprocess.run([sys.executable, "-m", "fne_cli", "split", str(photos), str(manifest), "--regions", "sliding:3",
                        "--overwrite", "-q"], check=True)  # fmt: skip
        in_turns(manifest, turns)
        cases = [("once an image", manifest), ("once a region", turns)][: 2 if count == known.photos else 1]
        for name, table in cases:
            rate, memory = measured(known.folder / f"{table.stem}.h5", table, photos, options)
            rows.append((count, name, rate, memory))
    print("photographs  decoded         regions/s  memory, MB")
    for count, name, rate, memory in rows:
        print(f"{count:11d}  {name:14s}  {rate:9.1f}  {memory:10d}")
    print(f"{rows[0][2] / rows[1][2]:.2f} times as fast")


if __name__ == "__main__":
    main()
