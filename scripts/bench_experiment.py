"""The evaluations of an experiment, networks excluded, by two versions of fne in turns: time, and every accuracy.

    git worktree add ../before main
    python scripts/bench_experiment.py activations.h5 --before ../before
    python scripts/bench_experiment.py activations.h5 --before ../before --whole

ACTIVATIONS is a file of `fne extract` with a label for every image and the splits train and test, 30 training images of
each class, as `configs/caltech101.toml` makes it. By default three layers are measured, by the split and by a short
learning curve; --layers, --sizes and --draws say otherwise. --whole is what that configuration measures: all layers, 1
to 30 images of a class in five draws, the split, five random splits, and ternary codes and z-scores of all layers
beside them.

Every evaluation runs in a process of its own, with PYTHONPATH the one checkout or the other; the time is that of the
step `evaluate`, without loading libraries, and seconds of the processor are those of the process. On a busy machine
these say more. "peak" is the most memory a process held. "differ" counts accuracies that are not the same as they are
printed (per cent, two digits), "largest" is the largest difference, in points.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

WORKER = """
import json, sys, time
from pathlib import Path
job = json.loads(sys.argv[1])
from fne_cli.steps.evaluate import ClassifierOptions, FeatureOptions, Protocol, evaluate
import numpy as np
from fne_cli.numerics.svm.solver import solve
values = np.random.default_rng(0)
for count, features in ((90, 8), (900, 200), (90, 200)):  # compiled code is loaded, of every path
    rows = values.normal(0, 1, (count, features)).astype(np.float32)
    labels = values.integers(0, 3, count)
    for of_kind in (rows, rows.astype(np.float64), np.sign(rows).astype(np.int8)):
        solve(of_kind, labels)
began, busy = time.monotonic(), time.process_time()
found = evaluate(
    Path(job["file"]), None, FeatureOptions(layers=job["layers"], embedding=job["embedding"]),
    Protocol(split=job["split"] and Path(job["split"]), per_class=tuple(job["sizes"]), draws=job["draws"]),
    ClassifierOptions(memory=job["memory"]),
)
seconds, cpu = time.monotonic() - began, time.process_time() - busy
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
trials = [(entry, trial) for entry in found.results["results"] for trial in entry.get("each_trial", [entry])]
print(json.dumps({
    "seconds": seconds, "cpu": cpu, "peak": peak, "gap": max(trial["duality_gap"] for _, trial in trials),
    "accuracies": [[one["name"], trial["training_rows"], trial["mean_per_class_accuracy"]] for one, trial in trials],
}))
"""


def measured(tree: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What one evaluation by the checkout `tree` says and takes."""
    words = [sys.executable, "-c", WORKER, json.dumps(job)]
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve())}
    done = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True)  # not this checkout
    if done.returncode:
        sys.exit(f"{tree}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def manifests(file: Path, folder: Path, count: int) -> list[str]:
    """Random splits with as many training images of each class as the smallest class of split train has."""
    from fne_cli.store.many.joined import JoinedFiles

    with JoinedFiles([file], "activations") as source:
        paths, labels, splits = source.images.path, source.images.label, np.array(source.images.split)
    size = int(np.bincount(labels[splits == "train"]).min())
    written = []
    for seed in range(1, count + 1):
        generator = np.random.default_rng(seed)
        train = np.zeros(len(labels), bool)
        for label in np.unique(labels[labels >= 0]):
            train[generator.permutation(np.flatnonzero(labels == label))[:size]] = True
        lines = [f"{json.dumps(path)},{'train' if own else 'test'}" for path, own in zip(paths, train, strict=True)]
        place = folder / f"split-{seed}.csv"
        place.write_text("\n".join(["path,split", *lines]) + "\n", encoding="utf-8")
        written.append(str(place))
    return written


def jobs_of(arguments: argparse.Namespace, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Evaluations by what they measure."""
    from fne_cli.store.many.joined import JoinedFiles

    with JoinedFiles([arguments.activations], "activations") as source:
        everything = source.select(())
    spread = [everything[place] for place in np.linspace(0, len(everything) - 1, 3).round().astype(int)]
    layers = everything if arguments.whole else arguments.layers.split(",") if arguments.layers else spread
    sizes = [1, 2, 5, 10, 20, 30] if arguments.whole else [int(size) for size in arguments.sizes.split(",")]
    draws = 5 if arguments.whole else arguments.draws
    common = {"file": str(arguments.activations.resolve()), "memory": int(arguments.memory * 2**30)}
    protocols: list[dict[str, Any]] = [
        {"split": None, "sizes": [], "draws": 5},
        {"split": None, "sizes": sizes, "draws": draws},
    ]
    if arguments.whole:
        protocols += [{"split": path, "sizes": [], "draws": 5} for path in manifests(arguments.activations, folder, 5)]
    kinds: dict[str, tuple[str | None, list[str]]] = {"single layers": (None, layers)}
    if arguments.whole or arguments.embeddings:
        kinds |= {"codes of all layers": ("fne", []), "z-scores of all layers": ("standardized", [])}
    return {
        name: [{**common, **protocol, "embedding": kind, "layers": chosen} for protocol in protocols]
        for name, (kind, chosen) in kinds.items()
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("activations", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of fne to compare this one with")
    parser.add_argument("--layers", help="names, with commas; default: the first, the middle and the last")
    parser.add_argument("--sizes", default="1,5,30", help="training images per class of the learning curve")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--embeddings", action="store_true", help="codes and z-scores of all layers, too")
    parser.add_argument("--memory", type=float, default=4.0, help="GiB")
    parser.add_argument("--whole", action="store_true")
    arguments = parser.parse_args()
    trees = {"before": arguments.before, "now": Path(__file__).parents[1]}
    total: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    with tempfile.TemporaryDirectory() as folder:
        for name, jobs in jobs_of(arguments, Path(folder)).items():
            apart: list[float] = []
            gap, differ = 0.0, 0
            for number, job in enumerate(jobs):
                order = list(trees) if number % 2 else list(trees)[::-1]
                found = {which: measured(trees[which], job) for which in order}
                for which, one in found.items():
                    for key in ("seconds", "cpu"):
                        total[name][f"{which} {key}"] += one[key]
                        total["together"][f"{which} {key}"] += one[key]
                    total[name][f"{which} peak"] = max(total[name][f"{which} peak"], one["peak"])
                gap = max(gap, found["now"]["gap"])
                for (layer, rows, old), (_, _, new) in zip(
                    found["before"]["accuracies"], found["now"]["accuracies"], strict=True
                ):
                    apart.append(100 * abs(new - old))
                    if f"{100 * old:.2f}" != f"{100 * new:.2f}":
                        differ += 1
                        print(f"  {layer}, {rows:,} training rows: {100 * old:.2f} before, {100 * new:.2f} now")
            of = total[name]
            print(
                f"{name}: {len(apart)} fits, {of['before seconds']:.1f} s before, {of['now seconds']:.1f} s now "
                f"({of['before seconds'] / of['now seconds']:.2f} times); processor {of['before cpu']:.1f} and "
                f"{of['now cpu']:.1f} s ({of['before cpu'] / of['now cpu']:.2f} times); peak {of['before peak']:.0f} "
                f"and {of['now peak']:.0f} MiB; largest gap now {gap:.1e}; {differ} differ, largest {max(apart):.2f}",
                flush=True,
            )
    both = total["together"]
    print(
        f"together: {both['before seconds'] / both['now seconds']:.2f} times as fast, "
        f"{both['before cpu'] / both['now cpu']:.2f} times in processor time"
    )


if __name__ == "__main__":
    main()
