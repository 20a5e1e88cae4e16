"""What commands take before they do anything: processor time of starting, by stages.

    python scripts/bench_startup.py [--runs N] [--images N] [--other TREE]

Each contestant runs in a process of its own, in turn: `python -c pass`; `fne --help`; `fne extract` with `mini` on
IMAGES photographs, and the same again, which is up to date, as `fne normalize`, `discretize` and `evaluate` are then.
With --other the code of another checkout takes its turns, too. Then the stages of that extraction up to its first
batch. Prints medians of user and system time, and JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench_sizes import at_least

ROOT = Path(__file__).parent.parent
STAGES = "--stages"
DERIVED = ("normalize", "discretize", "evaluate")


def cpu_of(arguments: Sequence[str], tree: Path) -> tuple[float, str]:
    """Processor seconds of a Python with these arguments, and what it printed to standard output."""
    # Python may keep what it compiles, as it does where a package is installed.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=output,
            stderr=errors,
            cwd=tempfile.gettempdir(),  # or the code in this folder would come before that of the tree
            env={**environment, "PYTHONPATH": str(tree)},
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if child.returncode:
            sys.exit(f"{' '.join(arguments)} ended with {child.returncode}:\n{errors.read().decode()}")
        return used.ru_utime + used.ru_stime, output.read().decode()


def derived(output: Path) -> list[list[str]]:
    """The words of the commands that follow `fne extract`; the output comes last."""
    moments, codes = (str(output.with_name(f"{output.stem}-{name}.h5")) for name in ("moments", "codes"))
    results = str(output.with_suffix(".json"))
    options = {"normalize": ["--rows", "all"], "discretize": [], "evaluate": ["--cv", "2"]}
    paths = {
        "normalize": [str(output), moments],
        "discretize": [str(output), moments, codes],
        "evaluate": [codes, results],
    }
    return [[name, *options[name], *paths[name]] for name in DERIVED]


def stages(photos: str, activations: str) -> list[tuple[str, float]]:
    """In this process: (what it was, processor seconds) of each stage of `fne extract` up to its first batch."""
    began, found = time.process_time(), []

    def note(what: str) -> None:
        nonlocal began
        now = time.process_time()
        found.append((what, now - began))
        began = now

    from fne_cli.networks import prepared, weights
    from fne_cli.steps.extract import Recipe, extract

    if importlib.util.find_spec("fne_cli.imports"):  # not in every tree; as the command line does
        from fne_cli import imports

        imports.claim()
    note("imports of ours, with NumPy and h5py")

    def after(module: Any, name: str, what: str) -> None:
        function: Callable[..., Any] = getattr(module, name)

        def noted(*given: Any, **named: Any) -> Any:
            result = function(*given, **named)
            note(what)
            return result

        setattr(module, name, noted)

    after(weights, "load_keras", "import of Keras and TensorFlow")
    after(prepared, "open_network", "building the network")
    after(prepared, "Extractor", "settings, and trying which batches are steady")

    from fne_cli.images import pipeline

    batches = pipeline.image_batches

    def first(*given: Any, **named: Any) -> Iterator[Any]:
        note("the output")
        for number, batch in enumerate(batches(*given, **named)):
            if not number:
                note("decoding the first batch")
            yield batch

    vars(pipeline)["image_batches"] = first
    running = "running." if find_spec("fne_cli.networks.running") else ""  # not in a checkout of before
    Extractor = import_module(f"fne_cli.networks.{running}extractor").Extractor  # noqa: N806  # a class

    call, calls = Extractor.__call__, 0

    def called(self: Any, pixels: Any) -> Any:
        nonlocal calls
        result = call(self, pixels)
        if not calls:
            note("tracing and computing the first batch")
        calls += 1
        return result

    Extractor.__call__ = called
    extract(photos, Path(activations), Recipe(model="mini"))
    note("all that comes after")
    return found


@contextmanager
def photographs(count: int) -> Iterator[Path]:
    """A folder with photos/, of 500 x 375 pixels each."""
    from bench_extract import write_photos

    with tempfile.TemporaryDirectory() as name:
        write_photos(Path(name) / "photos", count)
        yield Path(name)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=at_least(1), default=9)
    parser.add_argument("--images", type=at_least(1), default=200)
    parser.add_argument("--other", type=Path, help="another checkout, such as one of what stood before")
    options = parser.parse_args()
    trees = {"this": ROOT, **({"other": options.other.resolve()} if options.other else {})}
    taken: dict[str, list[float]] = {}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with photographs(options.images) as folder:
        for _ in range(options.runs):
            taken.setdefault("python -c pass", []).append(cpu_of(["-c", "pass"], ROOT)[0])
            for name, tree in trees.items():
                output = folder / f"{name}.h5"
                run = ["-m", "fne_cli", "extract", str(folder / "photos"), str(output), "--model", "mini"]
                for what, arguments in (
                    ("fne --help", ["-m", "fne_cli", "--help"]),
                    ("fne extract", [*run, "--overwrite"]),
                    ("fne extract, up to date", run),
                    *((f"fne {words[0]}, up to date", ["-m", "fne_cli", *words]) for words in derived(output)),
                ):
                    if arguments[2] in DERIVED and not Path(arguments[-1]).exists():
                        cpu_of(arguments, tree)
                    taken.setdefault(f"{what} ({name})", []).append(cpu_of(arguments, tree)[0])
                staged = [str(Path(__file__).resolve()), STAGES, str(folder / "photos"), str(folder / f"{name}-s.h5")]
                (folder / f"{name}-s.h5").unlink(missing_ok=True)
                parts[name].append(dict(json.loads(cpu_of(staged, tree)[1].splitlines()[-1])))
    figures = {what: statistics.median(values) for what, values in taken.items()}
    for what, seconds in figures.items():
        print(f"{what:40} {seconds:6.3f} s of CPU")
    staged_figures = {
        name: {what: statistics.median(run[what] for run in runs) for what in runs[0]} for name, runs in parts.items()
    }
    for name, found in staged_figures.items():
        print(f"\nstages of extract ({name})")
        for what, seconds in found.items():
            print(f"{what:50} {seconds:6.3f}")
        print(f"{'before the first batch is computed':50} {sum(list(found.values())[:-2]):6.3f}")
    print(json.dumps({"median": figures, "stages": staged_figures}, indent=2))


if __name__ == "__main__":
    if sys.argv[1:2] == [STAGES]:
        print(json.dumps(stages(*sys.argv[2:])))
    else:
        main()
