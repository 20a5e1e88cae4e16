"""Time and memory of ridge with leave-one-out against scikit-learn's RidgeClassifierCV, on made z-scores.

    python scripts/bench_ridge.py --rows 3030 --features 12416 --classes 101 --penalties 20

Every fit runs in a process of its own, ours and the peer's in turn; times and peaks are medians over --repeats. The fit
is timed, from rows to left-out predictions, penalty and weights, not the making of the data. "limit" is the time that
the Gram matrix (half of its products: it is symmetric) and the decomposition would take at the rate of a large float64
matrix product, measured in the same run. "differ" is the largest difference of left-out predictions. On a busy machine
the processor time says more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_sizes import at_least


def made(rows: int, features: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, features) float32 and labels: overlapping classes in 128 correlated directions."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    mix = (
        generator.standard_normal((128, features), np.float32) * (np.arange(1, 129, dtype=np.float32) ** -0.5)[:, None]
    )
    latent = 0.6 * generator.standard_normal((classes, 128), np.float32)[labels]
    latent += generator.standard_normal((rows, 128), np.float32)
    return latent @ mix + generator.standard_normal((rows, features), np.float32), labels


def peak() -> float:
    """MiB that this process has held at most."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def fit(folder: Path, who: str, penalties: list[float]) -> dict[str, Any]:
    """Fit one model, as a process of its own does it."""
    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    few = np.arange(200)
    if who == "ours":
        from fne_cli.numerics.ridge.solver import solve

        solve(rows[few, :300], labels[few], penalties, lambda left_out: 0)
        began, busy = time.perf_counter(), time.process_time()
        found = solve(
            rows, labels, penalties, lambda left_out: int(((left_out - targets(labels)) ** 2).sum((1, 2)).argmin())
        )
        chosen = found.penalty

        def errors() -> np.ndarray:
            return ((found.left_out - targets(labels)) ** 2).transpose(1, 2, 0)
    else:
        from sklearn.linear_model import RidgeClassifierCV

        scale = float(rows.astype(np.float64).var(axis=0).sum())
        RidgeClassifierCV(scale * np.array(penalties), store_cv_results=True).fit(rows[few, :300], labels[few])
        double = rows.astype(np.float64)
        began, busy = time.perf_counter(), time.process_time()
        peer = RidgeClassifierCV(scale * np.array(penalties), store_cv_results=True).fit(double, labels)
        chosen = float(peer.alpha_) / scale
    seconds, cpu, mib = time.perf_counter() - began, time.process_time() - busy, peak()
    np.save(folder / f"{who}.npy", errors() if who == "ours" else peer.cv_results_)
    return {"seconds": seconds, "cpu": cpu, "mib": mib, "penalty": chosen}


def targets(labels: np.ndarray) -> np.ndarray:
    """(rows, classes) of -1 and 1."""
    return np.where(labels[:, None] == np.arange(labels.max() + 1), 1.0, -1.0)


def rate() -> float:
    """Multiplications and additions a second of a large float64 matrix product, on all processors."""
    one = np.random.default_rng(0).normal(size=(3000, 3000))
    times = []
    for _ in range(3):
        began = time.perf_counter()
        one @ one
        times.append(time.perf_counter() - began)
    return 2 * 3000**3 / min(times)


def main() -> None:
    """Run both, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rows = at_least(200, "the contestants warm up on so many")
    parser.add_argument("--rows", type=rows, default=3030)
    for name, least, usual in (("features", 1, 12416), ("classes", 2, 101), ("penalties", 1, 20), ("repeats", 1, 3)):
        parser.add_argument(f"--{name}", type=at_least(least), default=usual)
    parser.add_argument("--fit", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rows < 2 * given.classes:
        parser.error(f"--rows should be at least {2 * given.classes}, two of each class. Found: {given.rows}.")
    penalties = np.logspace(-4, 2, given.penalties).tolist()
    if given.fit:
        print(json.dumps(fit(Path(given.fit[0]), given.fit[1], penalties)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, labels = made(given.rows, given.features, given.classes)
        np.save(folder / "rows.npy", rows)
        np.save(folder / "labels.npy", labels)
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "scikit-learn": []}
        for _ in range(given.repeats):
            for who, runs in found.items():
                command = [sys.executable, __file__, "--penalties", str(given.penalties), "--fit", name, who]
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        differ = max(float(np.abs(np.load(folder / "ours.npy") - np.load(folder / "scikit-learn.npy")).max()), 0.0)
    side = min(given.rows, given.features)
    limit = (1.0 * given.rows * given.features * side + 10 / 3 * side**3) / rate()
    for who, runs in found.items():
        seconds, cpu, mib, penalty = (median(run[key] for run in runs) for key in ("seconds", "cpu", "mib", "penalty"))
        print(f"{who:13} {seconds:7.2f} s  cpu {cpu:7.2f} s  {mib:7.0f} MiB  penalty {penalty:.3g}")
    ours, peer = (median(run["seconds"] for run in found[who]) for who in found)
    print(f"ratio {peer / ours:.1f}; limit {limit:.2f} s, ours takes {ours / limit:.1f} times that", end="; ")
    print(f"squared errors differ by {differ:.1e}")


if __name__ == "__main__":
    main()
