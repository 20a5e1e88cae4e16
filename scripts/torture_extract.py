"""Do to `fne extract` what clusters, disks and images do to it, and see whether a byte differs afterwards.

    python scripts/torture_extract.py [--kills 200] [--bad 1000] [--only kill,disk,bad,writers,flip] [--seed 0]

kill     SIGKILL at random moments, then the same command again, until the file is finished: byte-identical?
disk     a file system that fills up (a small tmpfs where mounting is allowed, else a limit on the file's size)
bad      truncated files, bit flips, random bytes with image endings, bombs, odd modes: no crash, no shifted row
writers  two processes on one output: the second exits 5, the first is not harmed
flip     one bit of a finished file changed: `fne verify` finds it

Every run is a fork of this process, which has TensorFlow loaded but has not used it, so that a start takes a moment.
Prints one JSON object. docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
from forked import gone, run, start, wait
from torture_inputs import bad_inputs, write_images, write_network

from fne_cli.networks.backend import load_keras


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Place:
    """A folder with a network and images, and the command over them."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.images, self.log = folder, folder / "images", folder / "log"
        self.network = folder / "net.keras"
        child = os.fork()  # TensorFlow must stay unused in this process, so that it can be forked
        if not child:
            try:
                write_network(self.network)
                os._exit(0)
            finally:
                os._exit(1)
        if wait(child):
            raise RuntimeError("the network could not be written")
        write_images(self.images, images)

    def command(self, output: Path, *more: str) -> list[str]:
        """The words of `fne extract` over the images."""
        known = ["--model", str(self.network), "--preprocess", "tf", "--batch-size", "8"]
        return ["extract", str(self.images), str(output), *known, *more]


def torture_kill(place: Place, kills: int, seed: int) -> dict[str, Any]:
    """SIGKILL runs at random moments until `kills` have hit; every finished file is compared."""
    moments = random.Random(seed)
    whole = place.folder / "whole.h5"
    began = time.monotonic()
    if run(place.command(whole), place.log):
        raise RuntimeError(place.log.read_text())
    duration = time.monotonic() - began
    expected, hits, files, differing, partial_progress = digest(whole), 0, 0, 0, 0
    while hits < kills:
        output = place.folder / f"killed{files}.h5"
        while True:
            child = start(place.command(output), place.log)
            if hits < kills:
                moment = time.monotonic() + moments.uniform(0, duration)
                while time.monotonic() < moment and not gone(child):
                    time.sleep(0.005)
                os.kill(child, signal.SIGKILL)
            code = wait(child)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                raise RuntimeError(f"exit {code}: {place.log.read_text()[-2000:]}")
            hits += 1
            journal = output.with_name(output.name + ".partial.json")
            if journal.exists():
                partial_progress += json.loads(journal.read_text())["committed"] > 0
        files += 1
        differing += digest(output) != expected
        output.unlink()
    return {
        "kills": hits, "files": files, "differing": differing, "kills_after_a_commit": partial_progress,
        "seconds_of_a_whole_run": round(duration, 2),
    }  # fmt: skip


def torture_disk(place: Place) -> dict[str, Any]:
    """Write to a disk that is too small, then to the same place with room."""
    whole = place.folder / "roomy.h5"
    run(place.command(whole), place.log)
    size = whole.stat().st_size
    small = place.folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs", str(small)], capture_output=True, check=False
    )
    output = small / "out.h5"
    log = place.folder / "disk.log"
    if mounted.returncode == 0:
        try:
            refused = run(place.command(output), log)
            # Room at the start, none later: another file takes it while the extraction runs.
            subprocess.run(["mount", "-o", f"remount,size={size * 3}", str(small)], check=True)
            later = run(place.command(output), log)
            same = digest(output) == digest(whole)
        finally:
            subprocess.run(["umount", str(small)], check=True)
        return {"how": "tmpfs", "first_exit": refused, "exit_with_room": later, "same_bytes": same,
                "message": log.read_text().splitlines()[:2]}  # fmt: skip
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    refused = run(place.command(output), log, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2)))
    later = run(place.command(output), log)
    return {"how": "RLIMIT_FSIZE", "first_exit": refused, "exit_with_room": later,
            "same_bytes": digest(output) == digest(whole), "message": log.read_text().splitlines()[:2]}  # fmt: skip


def torture_bad(place: Place, count: int, seed: int) -> dict[str, Any]:
    """Extract good images alone, and the same ones between broken ones: their rows must be the same."""
    alone, mixed = place.folder / "alone.h5", place.folder / "mixed.h5"
    if run(place.command(alone), place.log):
        raise RuntimeError(place.log.read_text())
    hopeless = bad_inputs(place.images / "train" / "broken", count, seed)
    refused = run(place.command(mixed), place.log)
    accepted = run(place.command(mixed, "--max-bad", "100%"), place.log)
    shutil.rmtree(place.images / "train" / "broken")
    with h5py.File(alone) as first, h5py.File(mixed) as second:
        paths = second["images/path"][:].tolist()
        rows = [paths.index(path) for path in first["images/path"][:].tolist()]
        same = all(
            np.array_equal(first["layers"][name][:], second["layers"][name][:][rows]) for name in first["layers"]
        )
        status, message = second["images/status"][:], second["images/message"][:]
        nan = all(np.isnan(second["layers"][name][:][status > 0]).all() for name in second["layers"])
        return {
            "inputs": count, "surely_bad": hopeless, "found_bad": int((status > 0).sum()), "exit": refused,
            "exit_with_max_bad": accepted, "good_rows_same": same, "bad_rows_are_nan": nan,
            "bad_without_message": int(((status > 0) & (message == b"")).sum()),
            "by_status": {str(k): int(n) for k, n in zip(*np.unique(status, return_counts=True), strict=True)},
        }  # fmt: skip


def finish_after(event: Path) -> None:
    """Have this process finish no file before there is the file `event`."""
    from fne_cli.store.output.resume import Growing

    finish = Growing.finish

    def waiting(growing: Growing, inputs: Mapping[str, Any]) -> None:
        while not event.exists():
            time.sleep(0.01)
        finish(growing, inputs)

    mock.patch.object(Growing, "finish", waiting).start()


def torture_writers(place: Place) -> dict[str, Any]:
    """A second writer beside a first one, which does not end before it."""
    alone, shared, ended = place.folder / "one.h5", place.folder / "two.h5", place.folder / "ended"
    run(place.command(alone), place.log)
    first = start(place.command(shared), place.log, lambda: finish_after(ended))
    partial = shared.with_name(shared.name + ".partial.json")
    while not partial.exists():
        if gone(first):
            raise RuntimeError(place.log.read_text()[-2000:])
        time.sleep(0.01)
    second = run(place.command(shared), place.log)
    ended.touch()
    return {"second_exit": second, "first_exit": wait(first), "same_bytes": digest(shared) == digest(alone)}


def torture_flip(place: Place, flips: int, seed: int) -> dict[str, Any]:
    """Change one bit at a time in the rows of a finished file."""
    moments = random.Random(seed)
    output = place.folder / "flip.h5"
    run(place.command(output), place.log)
    good = output.read_bytes()
    with h5py.File(output) as file:
        spans = [
            (chunk.byte_offset, chunk.size)
            for name in file["layers"]
            for chunk in map(file["layers"][name].id.get_chunk_info, range(file["layers"][name].id.get_num_chunks()))
        ]
    found = 0
    for _ in range(flips):
        offset, size = moments.choice(spans)
        changed = bytearray(good)
        changed[offset + moments.randrange(size)] ^= 1 << moments.randrange(8)
        output.write_bytes(changed)
        found += run(["verify", str(output)], place.log) == 1
    return {"flips": flips, "found": found}


def main() -> None:
    """Run what was asked for and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--bad", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=20)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--only", default="kill,disk,bad,writers,flip")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    load_keras()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder), options.images)
        work: dict[str, Callable[[], dict[str, Any]]] = {
            "kill": lambda: torture_kill(place, options.kills, options.seed),
            "disk": lambda: torture_disk(place),
            "bad": lambda: torture_bad(place, options.bad, options.seed),
            "writers": lambda: torture_writers(place),
            "flip": lambda: torture_flip(place, options.flips, options.seed),
        }
        for name in options.only.split(","):
            figures[name] = work[name]()
            print(name, json.dumps(figures[name]), file=sys.stderr, flush=True)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
