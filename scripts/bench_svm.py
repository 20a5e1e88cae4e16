"""Time and memory of the SVM against scikit-learn's LinearSVC, on made ternary codes.

    python scripts/bench_svm.py --section flowers --section grid --scale 0.25

Every fit runs in a process of its own, ours and the peer's in turn; times and peaks are medians over --repeats. The
fit is timed (Gram product and weights included), not the loading of the data or of the libraries. On a busy machine the
CPU time says more. --scale shrinks rows, features and classes alike. "limit" is the time that the unavoidable
multiplications (Gram product, weights; streamed: two products a pass) would take at the rate of a large float32 matrix
product, "memory" the time to read the codes once; both rates are measured in the same run. The
codes are made, not real: classes are centres in 128 correlated directions, plus noise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench_sizes import at_least

COSTS = [10.0**power for power in range(-5, 2)]


@dataclass(frozen=True)
class Section:
    """The size of a problem, and how far its class centres (spread) and its rows (noise) stand apart."""

    rows: int
    features: int
    classes: int
    test: int
    spread: float
    noise: float

    def scaled(self, scale: float) -> Section:
        """The same with fewer rows, features and classes."""
        rows, features, classes = (max(2, round(size * scale)) for size in (self.rows, self.features, self.classes))
        return replace(self, rows=rows, features=features, classes=classes)


SECTIONS = {
    "flowers": Section(2040, 12416, 102, 1000, 0.6, 1.5),
    "large": Section(6000, 12416, 100, 1000, 0.6, 1.5),
    "grid": Section(2040, 12416, 102, 1000, 0.6, 1.5),
    "food101": Section(75750, 12416, 101, 1000, 0.35, 1.5),
}


def codes(section: Section, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (codes, labels) by 1,000 rows: training rows first, then test rows."""
    generator = np.random.default_rng(seed)
    latent = 128
    mix = generator.standard_normal((latent, section.features)) * np.arange(1, latent + 1)[:, None] ** -0.5
    mix = (mix / np.sqrt((mix**2).sum(axis=0).mean())).astype(np.float32)
    centres = section.spread * generator.standard_normal((section.classes, latent), np.float32)
    std = np.sqrt(1 + section.spread**2 + section.noise**2)
    for total in (section.rows, section.test):
        labels = generator.permutation(total) % section.classes
        for start in range(0, total, 1000):
            part = labels[start : start + 1000]
            scores = (centres[part] + generator.standard_normal((len(part), latent), np.float32)) @ mix
            scores += section.noise * generator.standard_normal(scores.shape, np.float32)
            yield (scores > 0.15 * std).astype(np.int8) - (scores < -0.25 * std).astype(np.int8), part


def peak() -> float:
    """MiB that this process has held at most; getrusage would count what its parent held, too."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def fit(folder: Path, who: str) -> dict[str, Any]:
    """Fit one model, as a process of its own does it."""
    # each process imports its own library only, so that the peaks are those of a program that uses it
    estimator: Any
    if who == "ours":
        from fne_cli.numerics.svm.classifier import LinearSVC as CertifiedSVC

        estimator = CertifiedSVC()
    else:
        from sklearn.svm import LinearSVC

        estimator = LinearSVC(dual=True, random_state=0)
    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    few = np.concatenate([np.flatnonzero(labels == label)[:2] for label in (0, 1)])
    type(estimator)().fit(rows[few, :8], labels[few])
    began, busy = time.perf_counter(), time.process_time()
    estimator.fit(rows, labels)
    seconds, cpu, mib = time.perf_counter() - began, time.process_time() - busy, peak()
    predicted = np.concatenate([estimator.predict(part) for part in np.array_split(np.load(folder / "test.npy"), 10)])
    np.savez(folder / f"{who}.npz", coef=estimator.coef_, intercept=estimator.intercept_, predicted=predicted)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "mib": mib,
        "passes": int(estimator.n_iter_),
        "accuracy": float((predicted == np.load(folder / "test_labels.npy")).mean()),
        "gap": float(estimator.duality_gap_.max()) if who == "ours" else None,
    }


def grid(folder: Path, who: str) -> dict[str, Any]:
    """One fit, or the cross-validation of 7 C with 5 folds, Gram product included in both."""
    from fne_cli.numerics.evaluation.protocols import stratified_folds
    from fne_cli.numerics.svm.gram import gram
    from fne_cli.numerics.svm.problem import cross_validate
    from fne_cli.numerics.svm.solver import solve

    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    solve(rows[:50], labels[:50])
    began, busy = time.perf_counter(), time.process_time()
    if who == "fit":
        gap, accuracy = solve(rows, labels).gap, None
    else:
        mean, gap = cross_validate(gram(rows), labels, COSTS, stratified_folds(labels, 5), 1e-4)
        accuracy = mean.mean(axis=1).round(3).tolist()
    return {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - busy,
        "mib": peak(),
        "gap": float(gap.max()),
        "accuracy": accuracy,
    }


def stream(folder: Path, who: str) -> dict[str, Any]:
    """One fit from packed codes in a file; the rows are never in memory as a whole but in the page cache."""
    from fne_cli.numerics.codes.packed import PackedCodes
    from fne_cli.numerics.svm.solver import solve

    shape = json.loads((folder / "shape.json").read_text())
    planes = [
        np.memmap(folder / f"{plane}.u8", np.uint8, "r", shape=(shape[0], -(-shape[1] // 8)))
        for plane in ("positive", "negative")
    ]
    labels, test = np.load(folder / "labels.npy"), np.load(folder / "test.npy")
    began, busy = time.perf_counter(), time.process_time()
    solution = solve(PackedCodes(planes[0], planes[1], shape[1]), labels, tolerance=1e-2, path="direct", memory=2 << 30)
    seconds, cpu, mib = time.perf_counter() - began, time.process_time() - busy, peak()
    predicted = solution.model.classes[solution.model.decisions(test).argmax(axis=1)]
    return {
        "seconds": seconds,
        "cpu": cpu,
        "mib": mib,
        "passes": int(solution.passes.max()),
        "mean_passes": float(solution.passes.mean()),
        "gap": float(solution.gap.max()),
        "total_gap": solution.total_gap,
        "objective": solution.total_objective,
        "accuracy": float((predicted == np.load(folder / "test_labels.npy")).mean()),
    }


def write(folder: Path, section: Section, packed: bool) -> None:
    """Make the data of a section."""
    parts: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    done = 0
    for part, numbers in codes(section):
        if packed and done < section.rows:
            for plane, sign in (("positive", 1), ("negative", -1)):
                with (folder / f"{plane}.u8").open("ab") as file:
                    file.write(np.packbits(part == sign, axis=1, bitorder="little").tobytes())
        else:
            parts.append(part)
        labels.append(numbers)
        done += len(part)
    rows = np.concatenate(parts)
    numbers = np.concatenate(labels)
    if packed:
        (folder / "shape.json").write_text(json.dumps([section.rows, section.features]))
    else:
        np.save(folder / "rows.npy", rows[: section.rows])
    np.save(folder / "labels.npy", numbers[: section.rows])
    np.save(folder / "test.npy", rows[-section.test :])
    np.save(folder / "test_labels.npy", numbers[section.rows :])


def rates() -> tuple[float, float]:
    """Multiplications and additions per second of a float32 matrix product; bytes per second read from memory."""
    a = np.ones((3000, 3000), np.float32)
    big = np.ones(1 << 26, np.float32)
    products, reads = [], []
    for _ in range(5):
        began = time.perf_counter()
        a @ a
        products.append(2 * 3000**3 / (time.perf_counter() - began))
        began = time.perf_counter()
        big.max()
        reads.append(big.nbytes / (time.perf_counter() - began))
    return median(products), median(reads)


def child(task: str, folder: Path, who: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", task, "--folder", str(folder), "--who", who]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(results: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, float]]:
    middle = {}
    for who, runs in results.items():
        middle[who] = {key: median(run[key] for run in runs) for key in ("seconds", "cpu", "mib")}
        last = {key: value for key, value in runs[-1].items() if key not in middle[who]}
        times = " ".join(f"{run['seconds']:.2f}" for run in runs)
        seconds, cpu, mib = middle[who].values()
        print(f"  {who:6} {seconds:8.2f} s {cpu:8.2f} s CPU {mib:6.0f} MiB   times {times}   {last}")
    return middle


def measure(name: str, section: Section, repeats: int, peers: int) -> None:
    """Run a section and print it."""
    rate, bandwidth = rates()
    print(f"{name}: {section.rows:,} x {section.features:,}, {section.classes} classes", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, section, packed=name == "food101")
        pairs = {"grid": ("fit", "grid"), "food101": ("ours",)}.get(name, ("ours", "peer"))
        task = {"grid": "grid", "food101": "stream"}.get(name, "fit")
        results: dict[str, list[dict[str, Any]]] = {who: [] for who in pairs}
        for number in range(repeats):
            for who in pairs:
                if who != "peer" or number < peers:
                    results[who].append(child(task, folder, who))
        middle = compare(results)
        first, last = middle[pairs[0]], middle[pairs[-1]]
        ratio = {key: last[key] / first[key] for key in first}
        if name == "grid":
            print(f"  7 C x 5 folds cost {ratio['seconds']:.1f} fits, {ratio['cpu']:.1f} in CPU time (at most 15)")
        elif name == "food101":
            dense = 8 * section.rows * section.features / 2**30
            print(f"  peer: not run, its float64 copy alone is {dense:.1f} GiB, its own sparse one about twice that")
        else:
            faster = f"{ratio['seconds']:.1f} times faster, {ratio['cpu']:.1f} in CPU time"
            print(f"  {faster}, {1 / ratio['mib']:.2f} of the peak")
            agree(folder)
        if name == "food101":
            passes = results["ours"][-1]["mean_passes"]
            needed = passes * 4.0 * section.rows * section.features * section.classes
        else:
            needed = float(section.rows * section.features * (section.rows + 2 * section.classes))
        limit, read = needed / rate, section.rows * section.features / bandwidth
        print(
            f"  limit {limit:.3f} s at {rate / 1e9:.0f} GFLOP/s, memory {read:.3f} s at {bandwidth / 1e9:.1f} GB/s; "
            f"ours takes {first['seconds'] / max(limit, read):.1f} times the limit",
            flush=True,
        )


def agree(folder: Path) -> None:
    """Compare the objective, by one formula for both, and the predictions."""
    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    found = {who: np.load(folder / f"{who}.npz") for who in ("ours", "peer")}
    signs = np.where(labels[:, None] == np.arange(len(found["ours"]["coef"])), 1.0, -1.0)
    objective = {}
    for who, model in found.items():
        margins = np.concatenate([part @ model["coef"].T for part in np.array_split(rows, 20)]) + model["intercept"]
        norm = (model["coef"] ** 2).sum() + (model["intercept"] ** 2).sum()
        objective[who] = 0.5 * norm + (np.maximum(0, 1 - signs * margins) ** 2).sum()
    same = (found["ours"]["predicted"] == found["peer"]["predicted"]).mean()
    ours, peer = objective["ours"], objective["peer"]
    print(f"  objective ours {ours:.8g}, peer {peer:.8g}, relative {(ours - peer) / peer:+.1e}")
    print(f"  same predictions {same:.1%}")


def main() -> None:
    """Run the sections that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--section", action="append", choices=sorted(SECTIONS), help="default: all")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--repeats", type=at_least(1), default=3)
    parser.add_argument("--peer-repeats", type=at_least(1), default=3, help="runs of LinearSVC, which takes minutes")
    parser.add_argument("--child", choices=["fit", "grid", "stream"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--who", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        work = {"fit": fit, "grid": grid, "stream": stream}[asked.child]
        print(json.dumps(work(asked.folder, asked.who)))
        return
    for name in asked.section or list(SECTIONS):
        measure(name, SECTIONS[name].scaled(asked.scale), asked.repeats, asked.peer_repeats)


if __name__ == "__main__":
    main()
