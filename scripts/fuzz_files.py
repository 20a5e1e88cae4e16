"""Spoil files of every kind, and see that each ends in the right result, or in an error that names the file.

    python scripts/fuzz_files.py [--kind h5,keras,network,onnx,npz,tar,image,table,toml,results]
                                 [--seconds 60] [--seed 0] [--most 1000] [--keep FOLDER]
    python scripts/fuzz_files.py --kind h5 --seed 0 --only 1234 --keep .     # that one input again
    python scripts/fuzz_files.py --corpus tests/corpus                       # what was ever found

h5       the six kinds of fne: bytes; objects, chunks, metadata under a seal and checksums that fit again
keras    .keras archives: their descriptions, weights, members
network  whole networks in HDF5, of Keras 3 and 2
onnx     ONNX networks: bytes; operators, attributes, weights, and where weights lie
npz      classifiers; results: results.json and predictions; tar; image: eleven formats
table    CSV, TSV, JSON, JSONL as lists of images; toml: experiments and clusters

A child process of its own reads one input after the other, with at most --memory more than it has, and --cpu seconds
for each. If it dies, that is a finding, and another goes on. Findings: a crash, a limit, an exception that is no
FneError, an error that does not name the file, and, where every bit is guarded, another result than the good file's
without an error. Prints one JSON object; ends with 1 if there is a finding. What was found belongs into
tests/corpus/KIND/, as SAMPLE-what.ending.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[1:1] = [str(Path(__file__).resolve().parents[1] / "tests" / "builders")]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fuzz_sample import Sample  # noqa: E402
from fuzz_targets import KINDS, reader_of, samples  # noqa: E402

_WALL = 300  # seconds after which a child that waits for something is taken for one that never ends


def read(sample_read: Any, path: Path) -> tuple[str, str]:
    """What comes of a file: ("result", its digest), ("refused", why) or ("finding", what)."""
    from fne_cli.errors import FneError

    try:
        with warnings.catch_warnings(action="ignore"):
            return "result", sample_read(path)
    except FneError as error:
        named = path.name in str(error)
        return ("refused", str(error)) if named else ("finding", f"an error without the file's name: {error}")
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "finding", f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"[:600]


class Child:
    """A process that reads inputs, `number` after `number`, and says a line of JSON for each."""

    def __init__(self, sample: Sample, folder: Path, seed: int, memory: int, cpu: int) -> None:
        self._sample, self._folder, self._seed = sample, folder, seed
        self._memory, self._cpu = memory, cpu
        self._pid, self._ask, self._hear = 0, -1, -1

    def scratch(self) -> Path:
        """Where the spoilt file is."""
        return self._folder / "scratch" / self._sample.path.name

    def one(self, number: int | None) -> dict[str, Any]:
        """What comes of one input (None: of the good file)."""
        if not self._pid:
            self._start()
        os.write(self._ask, json.dumps(number).encode() + b"\n")
        line, end = b"", time.monotonic() + _WALL
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._hear], [], [], max(0, end - time.monotonic()))
            part = os.read(self._hear, 1 << 16) if ready else b""
            if not part:
                return {"outcome": "finding", "what": self._ended(bool(ready)), "again": True}
            line += part
        return json.loads(line)

    def _ended(self, died: bool) -> str:
        if not died:
            os.kill(self._pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        self._pid = 0
        os.close(self._ask)
        os.close(self._hear)
        if not died:
            return f"it did not end within {_WALL} s"
        limit = code == -signal.SIGPROF
        return f"more than {self._cpu} s of processor time" if limit else f"the process died: {code}"

    def stop(self) -> None:
        """End the process."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._ended(True)

    def _start(self) -> None:
        child_hears, self._ask = os.pipe()
        self._hear, child_says = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(child_hears)
            os.close(child_says)
            return
        try:
            os.close(self._ask)
            os.close(self._hear)
            self._serve(os.fdopen(child_hears), child_says)
        except BaseException as error:  # in the script itself, as it made the input
            what = "".join(traceback.format_exception(error))[-2000:]
            os.write(child_says, json.dumps({"outcome": "finding", "what": f"the fuzzer: {what}"}).encode() + b"\n")
        finally:
            os._exit(0)

    def _serve(self, numbers: Any, says: int) -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + self._memory,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for line in numbers:
            number, scratch = json.loads(line), self.scratch()
            shutil.rmtree(scratch.parent, ignore_errors=True)
            scratch.parent.mkdir()
            os.chdir(scratch.parent)
            behind = True
            if number is None:
                shutil.copy(self._sample.path, scratch)
            else:
                chance = random.Random(f"{self._seed} {self._sample.path.name} {number}")
                with warnings.catch_warnings(action="ignore"), contextlib.suppress(OSError, RuntimeError, KeyError):
                    # where HDF5 cannot change a file any more that it has broken, the file stays as it is then
                    behind = self._sample.spoil(chance, self._sample.path, scratch)
            signal.setitimer(signal.ITIMER_PROF, self._cpu)
            outcome, what = read(self._sample.read, scratch)
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(says, json.dumps({"outcome": outcome, "what": what, "behind": behind}).encode() + b"\n")


def fuzz(sample: Sample, folder: Path, numbers: Iterator[int], seconds: float, options: Any) -> dict[str, Any]:
    """Inputs of one sample, until the time is over; what came of them."""
    child = Child(sample, folder, options.seed, options.memory << 20, options.cpu)
    good = child.one(None)
    if good["outcome"] != "result" or child.one(None) != good:
        raise RuntimeError(f"{sample.path}: {good}")
    figures: dict[str, Any] = {"inputs": 0, "refused": 0, "same": 0, "other": 0, "findings": []}
    end = time.monotonic() + seconds
    for number in numbers:
        found = child.one(number)
        figures["inputs"] += 1
        same = found["outcome"] == "result" and found["what"] == good["what"]
        silent = found["outcome"] == "result" and not same and sample.guarded and not found["behind"]
        if found["outcome"] == "finding" or silent:
            what = "another result, without an error" if silent else found["what"]
            figures["findings"].append({"sample": sample.path.name, "number": number, "what": what})
            print(f"{sample.kind} {sample.path.name} --only {number}: {what}", file=sys.stderr, flush=True)
            if options.keep:
                Path(options.keep).mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(OSError):
                    shutil.copy(
                        child.scratch(), Path(options.keep) / f"{sample.path.stem}-{number}{sample.path.suffix}"
                    )
        else:
            figures["refused" if found["outcome"] == "refused" else "same" if same else "other"] += 1
        if time.monotonic() > end:
            break
    child.stop()
    return figures


def replay(corpus: Path, folder: Path, options: Any) -> list[dict[str, str]]:
    """Read every file of the corpus in a process of its own; what came of it."""
    found = []
    for path in sorted(corpus.glob("*/*")):
        kind, name = path.parent.name, path.name
        place = folder / kind
        (place / "corpus").mkdir(parents=True, exist_ok=True)
        sample = Sample(kind, path, reader_of(kind, path.stem, place), lambda *_: True)
        child = Child(sample, place / "corpus", options.seed, options.memory << 20, options.cpu)
        result = child.one(None)
        child.stop()
        found.append({"file": f"{kind}/{name}", "outcome": result["outcome"], "what": result["what"][:300]})
    return found


def main() -> None:
    """Fuzz, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default=",".join(KINDS))
    parser.add_argument("--seconds", type=float, default=60, help="for each kind (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=1 << 40, help="inputs of each sample")
    parser.add_argument("--only", type=int, help="the number of one input")
    parser.add_argument("--sample", help="only the sample of this name")
    parser.add_argument("--keep", help="a folder for inputs that are findings")
    parser.add_argument("--corpus", help="read these files instead")
    parser.add_argument("--memory", type=int, default=2048, help="MiB that an input may take (default: 2048)")
    parser.add_argument("--cpu", type=int, default=20, help="seconds of processor time for one input (default: 20)")
    options = parser.parse_args()
    kinds = options.kind.split(",")
    if odd := set(kinds) - set(KINDS):
        parser.error(f"--kind should be of {', '.join(KINDS)}. Found: {', '.join(sorted(odd))}")
    for name in ("keep", "corpus"):
        if getattr(options, name):
            setattr(options, name, os.path.abspath(getattr(options, name)))
    if options.corpus:
        kinds = [path.name for path in Path(options.corpus).iterdir()]
    if {"keras", "network"} & {*kinds}:
        from fne_cli.networks.backend import load_keras

        load_keras()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if options.corpus:
            found = replay(Path(options.corpus), place, options)
            print(json.dumps(found, indent=1))
            sys.exit(any(one["outcome"] == "finding" for one in found))
        figures: dict[str, Any] = {}
        for kind in kinds:
            made = [one for one in samples(kind, place / kind) if options.sample in (None, one.path.name)]
            for sample in made:
                numbers = iter(range(options.most)) if options.only is None else iter((options.only,))
                found_here = fuzz(sample, place / kind, numbers, options.seconds / len(made), options)
                figures[f"{kind} {sample.path.name}"] = found_here
    total = {key: sum(one[key] for one in figures.values()) for key in ("inputs", "refused", "same", "other")}
    total["findings"] = sum(len(one["findings"]) for one in figures.values())
    print(json.dumps({"samples": figures, "total": total}, indent=1))
    sys.exit(total["findings"] > 0)


if __name__ == "__main__":
    main()
