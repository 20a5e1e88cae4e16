"""Kill `fne train` at random moments with SIGKILL, go on each time, and compare the network with that of a whole run.

    python scripts/torture_train.py --kills 20 --seed 1

It trains on the digits of `fne sample`, with augmentation and dropout, or what options of `fne train` say, and with
checkpoints every fraction of a second, so that a kill may fall between any two writes. It prints a line of JSON, and
ends with 1 if the networks, or what lies beside them, differ.
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

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import sys
from fne_cli.training import loop
loop.WITHIN_SECONDS, loop.BETWEEN_SECONDS, loop._SHARE = 0.2, 0.0, 0
from fne_cli.cli.main import main
main(sys.argv[1:])
"""


def command(folder: Path, output: str, epochs: int, extra: list[str]) -> list[str]:
    words = ["train", "digits", output, "--epochs", str(epochs), "--batch-size", "16", "-q", *extra]
    return [sys.executable, "-c", PROGRAM, *words]


def started(folder: Path, output: str, epochs: int, extra: list[str]) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(command(folder, output, epochs, extra), cwd=folder, env=env)


def state(path: Path) -> object:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def killed(folder: Path, output: str, epochs: int, extra: list[str], chance: random.Random) -> bool:
    """Start it, and kill it, mostly some time after its first checkpoint. False if it came to its end before."""
    checkpoint = folder / f"{output}.checkpoint"
    before = state(checkpoint)
    early = chance.random() < 0.1
    process = started(folder, output, epochs, extra)
    while not early and process.poll() is None and state(checkpoint) == before:
        time.sleep(0.005)
    end = time.monotonic() + chance.uniform(0, 5.0 if early else 0.6)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("options", nargs="*", help="options of fne train, after --")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    extra = options.options or ["--augment", "flip,crop,colour", "--model", "vgg-mini:width=8,depth=2,units=64"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sample = [sys.executable, "-m", "fne_cli", "sample", "digits", "digits", "-q"]
        subprocess.run(sample, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        (folder / "digits" / "test").rename(folder / "digits" / "val")
        whole = started(folder, "whole.keras", options.epochs, extra)
        assert whole.wait() == 0
        kills = ends = 0
        while kills < options.kills and ends == 0:
            if killed(folder, "killed.keras", options.epochs, extra, chance):
                kills += 1
            else:
                ends += 1
        code = started(folder, "killed.keras", options.epochs, extra).wait()
        runs = json.loads((folder / "killed.keras.run.json").read_text())["runs"]
        digests = {
            one: hashlib.sha256((folder / f"{one}.keras").read_bytes()).hexdigest() for one in ("whole", "killed")
        }
        left = sorted(path.name for path in folder.iterdir() if "killed." in path.name)
        same = digests["whole"] == digests["killed"] and code == 0
        clean = left == ["killed.keras", "killed.keras.run.json"]
        told = {"kills": kills, "runs": len(runs), "code": code, "same": same, "left": left, "sha256": digests["whole"]}
        print(json.dumps(told))
        sys.exit(0 if same and clean else 1)


if __name__ == "__main__":
    main()
