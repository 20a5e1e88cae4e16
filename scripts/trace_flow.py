"""How many modules and calls of ours one command goes through: the way that whoever changes it has to read.

    python scripts/trace_flow.py                    # a table: extract, normalize, discretize, evaluate
    python scripts/trace_flow.py discretize -v      # the modules of one, with the calls into each

Runs the commands on 60 digits with the embedded network, two times each; the second time is counted, so that imports
and compilation are not. A module counts if a function of it is called, in any thread. Use it before and after a change
of the structure: more modules on the way is a cost, and needs a reason.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import fne_cli
from fne_cli.cli.main import main as cli

ROOT = Path(fne_cli.__file__).parent
DIGITS = 60


@contextmanager
def traced() -> Iterator[Counter[str]]:
    """Counts calls by module, as paths below fne_cli/, in all threads that begin while it is open."""
    calls: Counter[str] = Counter()
    names: dict[str, str] = {}

    def look(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename not in names:
            inside = code.co_filename.startswith(str(ROOT))
            names[code.co_filename] = str(Path(code.co_filename).relative_to(ROOT)) if inside else ""
        name = names[code.co_filename]
        if name and code.co_name != "<module>":
            calls[name] += 1

    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def commands(folder: Path, time: str) -> dict[str, list[str]]:
    """The commands by name, on 60 digits in splits; `time` tells their outputs from those of another time."""
    activations, moments, codes = (str(folder / f"{kind}-{time}.h5") for kind in ("activations", "moments", "codes"))
    results = str(folder / f"results-{time}.json")
    fitting = ["--embedding", "fne", "--cv", "3", "-C", "0.1,1", "--predictions", results + ".csv"]
    return {
        "extract": ["extract", str(folder / "digits.csv"), activations, "--model", "mini"],
        "normalize": ["normalize", activations, moments],
        "discretize": ["discretize", activations, moments, codes],
        "evaluate": ["evaluate", activations, results, *fitting],
    }


def write_images(folder: Path) -> None:
    """Digits below digits/, and digits.csv that names 60 of them, of which 40 are training images."""
    from fne_cli.steps.sample import sample

    images = folder / "digits"
    sample("digits", images)
    lines = ["path,label,split"]
    for number, path in enumerate(sorted(images.rglob("*.png"))[:: 1797 // DIGITS]):
        lines.append(f"{path.relative_to(folder)},{path.parent.name},{'train' if number % 3 else 'test'}")
    (folder / "digits.csv").write_text("\n".join(lines) + "\n")


def perform(command: list[str]) -> Counter[str]:
    """Run a command line in this process. Returns the calls by module."""
    with traced() as calls, suppress(SystemExit):
        cli([*command, "-q"])
    return calls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flow", nargs="*", help="extract, normalize, discretize, evaluate (default: all)")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the modules")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name))
        counted: dict[str, Counter[str]] = {}
        for time in ("first", "second"):
            with redirect_stdout(io.StringIO()):
                counted = {step: perform(command) for step, command in commands(Path(name), time).items()}
    print(f"{'command':12}{'modules':>8}{'in store':>10}{'calls':>9}")
    for step, calls in counted.items():
        if given.flow and step not in given.flow:
            continue
        store = sum(module.startswith("store/") for module in calls)
        print(f"{step:12}{len(calls):8}{store:10}{sum(calls.values()):9,}")
        if given.verbose:
            for module, count in sorted(calls.items()):
                print(f"    {module:40}{count:9,}")


if __name__ == "__main__":
    main()
