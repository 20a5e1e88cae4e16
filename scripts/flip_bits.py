"""Turn one bit of every byte of a small file of each HDF5 kind, and see that `fne verify` finds every one out.

    python scripts/flip_bits.py [--images 12] [--seed 0] [--every 1]

Which bit of a byte is drawn by chance. Prints a JSON object: for each kind the bytes of the file, how many were tried,
and the bits that nobody noticed; ends with 1 if there is one. The other kinds of files (results, classifiers, tables,
records) are flipped byte by byte in tests/whole/test_flips.py. docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from fne_cli.errors import FneError
from fne_cli.steps.analyze import analyze
from fne_cli.steps.discretize import discretize
from fne_cli.steps.normalize import normalize
from fne_cli.steps.verify import verify


def made(folder: Path, images: int) -> dict[str, Path]:
    """A small file of each kind."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "builders"))
    from real_files import write_all  # type: ignore[import-not-found]  # of tests/builders

    found: dict[str, Path] = dict(
        zip(("activations", "moments", "codes"), write_all(folder, images, bad=[4]), strict=True)
    )
    found |= {kind: folder / f"{kind}.h5" for kind in ("behavior", "standardized", "packed")}
    analyze(found["activations"], found["behavior"], random_classes=20)
    normalize(found["activations"], found["moments"], standardized=found["standardized"])
    discretize(found["activations"], found["moments"], found["packed"], packed=True)
    return found


def noticed(path: Path) -> bool:
    """Whether a spoilt file is refused, or `verify` names the damage."""
    try:
        return bool(verify(path).problems)
    except FneError:
        return True


def flip(path: Path, every: int, rng: random.Random) -> dict[str, object]:
    """What came of a bit of every `every`-th byte."""
    content = path.read_bytes()
    silent, tried = [], 0
    for byte in range(0, len(content), every):
        bit = rng.randrange(8)
        spoilt = bytearray(content)
        spoilt[byte] ^= 1 << bit
        path.write_bytes(spoilt)
        tried += 1
        if not noticed(path):
            silent.append(8 * byte + bit)
    path.write_bytes(content)
    return {"bytes": len(content), "tried": tried, "silent": silent}


def main() -> None:
    """Flip, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="a bit of every N-th byte (default: 1)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        figures = {kind: flip(path, options.every, rng) for kind, path in made(Path(folder), options.images).items()}
    print(json.dumps(figures, indent=2))
    sys.exit(any(one["silent"] for one in figures.values()))


if __name__ == "__main__":
    main()
