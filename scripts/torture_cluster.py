"""SIGKILL the workers of `fne extract --cluster local:2` at random, and see whether a byte differs afterwards.

    python scripts/torture_cluster.py [--kills 20] [--crops 10] [--workers 2] [--seed 0]

The 1,797 digits through `mini`, in shards that commit ten times a second. After each kill Dask starts the worker
again, and some worker goes on with the partial file. If the command gives up (several workers in a row died of one
shard before they had committed anything), it is run again, as a person would. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).resolve().parents[1] / "tests"


def command(images: Path, output: Path, crops: int, *more: str) -> list[str]:
    """The words of `fne extract`."""
    words = ["extract", str(images), str(output), "--model", "mini", "--crops", str(crops), *more]
    return [sys.executable, "-m", "fne_cli", *words]


def workers_of(client: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Dask's worker processes."""
    try:
        children = psutil.Process(client.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def committed(output: Path) -> int:
    """How many images are safe in the shards that are under way."""
    total = 0
    for journal in output.with_name(output.name + ".shards").glob("*.h5.partial.json"):
        try:
            total += json.loads(journal.read_bytes())["committed"]
        except (OSError, ValueError):
            continue
    return total


def torture(folder: Path, kills: int, crops: int, workers: int, seed: int) -> dict[str, Any]:
    """Kill until `kills` have hit; every finished file is compared with the one of one process."""
    moments = random.Random(seed)
    images, whole = folder / "digits", folder / "whole.h5"
    subprocess.run([sys.executable, "-m", "fne_cli", "sample", "digits", str(images), "-q"], check=True)
    subprocess.run(command(images, whole, crops, "-q"), check=True)
    expected = hashlib.sha256(whole.read_bytes()).hexdigest()
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "DASK_DISTRIBUTED__WORKER__PRELOAD": "['quick_commits']"}
    hits, after_commit, files, again, differing = 0, 0, 0, 0, 0
    while hits < kills:
        output = folder / f"killed{files}.h5"
        code, last = None, 0
        while code != 0:
            with open(folder / "log", "ab") as log:
                words = command(images, output, crops, "--cluster", f"local:{workers}")
                client = subprocess.Popen(words, env=environment, stderr=log)
            while client.poll() is None:
                time.sleep(moments.uniform(0.2, 3))
                victims = workers_of(client)
                safe = committed(output)
                further = safe > last
                # A worker takes seconds to start; most kills wait for work that they can undo.
                if hits < kills and victims and (further or moments.random() < 0.03):
                    moments.choice(victims).send_signal(signal.SIGKILL)
                    hits, last = hits + 1, safe
                    after_commit += further
            code = client.wait()
            again += code != 0
            if code not in (0, 1):
                raise RuntimeError(f"exit code {code}: {(folder / 'log').read_text()[-2000:]}")
        files += 1
        differing += hashlib.sha256(output.read_bytes()).hexdigest() != expected
        if list(folder.glob(f"{output.name}.*")) != [folder / f"{output.name}.run.json"]:
            raise RuntimeError(f"left behind: {list(folder.glob(f'{output.name}.*'))}")
        output.unlink()
    return {"kills": hits, "after_a_commit": after_commit, "files": files, "given_up": again, "differing": differing}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--crops", type=int, default=10, choices=(1, 5, 10))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = torture(Path(name), options.kills, options.crops, options.workers, options.seed)
    print(json.dumps(figures, indent=2))
    sys.exit(1 if figures["differing"] else 0)


if __name__ == "__main__":
    main()
