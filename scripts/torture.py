"""SIGKILL every command that writes, at random moments and at file events, and look at what it left.

    python scripts/torture.py [--kills 1000] [--only normalize,evaluate] [--seed 0] [--folder PLACE]

After each kill every output must be absent, or what it was before, or what the whole command writes, byte for byte.
After some kills the same command runs to its end: outputs are as they should be, and nothing else lies there. Every
second round begins with the output of other inputs, which --overwrite replaces.

A file event is what the process asks of the file system through Python: open, rename, remove, truncate, mkdir, fsync,
write, pwrite. A run without a kill counts them; a kill comes right before one of them, by chance. What HDF5 does by
itself is met by kills at random moments, which the other half are.

Every run is a fork of this process, which has loaded the libraries but has not used them. Prints one JSON object.
docs/reliability.md has the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forked import gone, start, wait
from torture_events import at_event
from torture_inputs import write_images, write_network

from fne_cli.networks.backend import load_keras

STAYS = (".run.json",)  # records have times: they may be there, and differ


@dataclass(frozen=True)
class Command:
    """words: of `fne`, run in a folder with ../inputs beside it, `{n}` being the inputs' number."""

    name: str
    words: str
    copies: Sequence[str] = ()  # of inputs, which lie in the folder itself


COMMANDS = (
    Command("extract", "extract ../inputs/images{n} out.h5 --model ../inputs/net.keras --preprocess tf --batch-size 8"),
    Command("normalize", "normalize ../inputs/a{n}.h5 out.h5"),
    Command("standardized", "normalize ../inputs/a{n}.h5 m.h5 --standardized out.h5"),
    Command("discretize", "discretize ../inputs/a{n}.h5 ../inputs/m{n}.h5 out.h5"),
    Command("packed", "discretize ../inputs/a{n}.h5 ../inputs/m{n}.h5 out.h5 --packed"),
    Command("analyze", "analyze ../inputs/a{n}.h5 out.h5 --random-classes 5"),
    Command("evaluate", "evaluate ../inputs/c{n}.h5 out.json --predictions out.csv --save-classifier out.npz"),
    Command("predict", "predict ../inputs/c{n}.npz ../inputs/c{n}.h5 out.csv"),
    Command("merge", "merge ../inputs/s{n}1.h5 ../inputs/s{n}2.h5 out.h5"),
    Command("split", "split ../inputs/images{n} out.csv --folds 2"),
    Command("export npy", "export ../inputs/c{n}.h5 out.npy"),
    Command("export npz", "export ../inputs/c{n}.h5 out.npz"),
    Command("export csv", "export ../inputs/c{n}.h5 out.csv"),
    Command("export svm", "export ../inputs/c{n}.h5 out.svm"),
    Command("export faiss", "export ../inputs/c{n}.h5 out.faiss"),
    Command("export copy", "export ../inputs/c{n}.h5 out.copy"),
    Command("report", "report r.json page.html", ("r.json",)),
    Command("run", "run e{n}.toml", ("e{n}.toml",)),
)


def made(words: str, folder: Path, before: Callable[[], None] = lambda: None) -> int:
    """Fork a process that runs `fne WORDS` in a folder; its id."""
    return start([*words.split(), "-q"], folder.parent / "log", before, folder)


def state(folder: Path, command: Command) -> dict[str, str]:
    """SHA-256 of every file in a folder, by its path; of records only that they are there."""
    inputs = {name.format(n=number) for name in command.copies for number in (1, 2)}
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in inputs:
            record = name.endswith((*STAYS, "stamps.json"))
            found[name] = "" if record else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@dataclass
class Figures:
    """What happened to one command."""

    kills: int = 0
    at_events: int = 0
    finished: int = 0
    wrong: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)


class Torture:
    """A folder with inputs, and commands over them."""

    def __init__(self, folder: Path, seed: int, count: int) -> None:
        self.folder, self.random, self.images = folder, random.Random(seed), count
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        self._rounds = 0
        self._make_inputs()

    def _do(self, words: str, folder: Path | None = None) -> None:
        if code := wait(made(words, folder or self.inputs)):
            raise RuntimeError(f"fne {words}: exit {code}\n{(self.folder / 'log').read_text()[-2000:]}")

    def _make_inputs(self) -> None:
        child = os.fork()  # TensorFlow must stay unused in this process, so that it can be forked
        if not child:
            try:
                write_network(self.inputs / "net.keras")
                os._exit(0)
            finally:
                os._exit(1)
        if wait(child):
            raise RuntimeError("the network could not be written")
        net = "--model net.keras --preprocess tf --batch-size 8"
        for n in (1, 2):
            write_images(self.inputs / f"images{n}", self.images, seed=n)
            self._do(f"extract images{n} a{n}.h5 {net}")
            for part in (1, 2):
                self._do(f"extract images{n} s{n}{part}.h5 {net} --shard {part}/2")
            self._do(f"normalize a{n}.h5 m{n}.h5")
            self._do(f"discretize a{n}.h5 m{n}.h5 c{n}.h5")
            self._do(f"evaluate c{n}.h5 r{n}.json --model c{n}.npz")
            (self.inputs / f"e{n}.toml").write_text(
                f'[experiment]\noutput = "out"\n[datasets.d]\nimages = "../inputs/images{n}"\n'
                '[networks.n]\nmodel = "../inputs/net.keras"\npreprocess = "tf"\nbatch_size = 8\n'
                "[embeddings.fne]\n[protocols.split]\n"
            )

    def _fresh(self, command: Command, number: int) -> Path:
        place = self.folder / f"round{self._rounds}"
        self._rounds += 1
        place.mkdir()
        for name in command.copies:
            source = name.format(n=number)
            shutil.copy(self.inputs / (f"r{number}.json" if source == "r.json" else source), place / source)
        return place

    def torture(self, command: Command, kills: int) -> Figures:
        """SIGKILL one command until `kills` have hit."""
        figures = Figures()
        places = [self._fresh(command, 2), self._fresh(command, 1)]
        old_words, words = (command.words.format(n=number) for number in (2, 1))
        self._do(old_words, places[0])
        began = time.monotonic()
        self._do(words, places[1])
        duration = time.monotonic() - began
        old, new = (state(place, command) for place in places)
        counted = self._fresh(command, 1)
        events = self._count(words, counted)
        if state(counted, command) != new:
            raise RuntimeError(f"{command.name} does not write the same bytes twice")
        shutil.rmtree(counted)
        while figures.kills < kills:
            replacing = command.name != "run" and self.random.random() < 0.5
            place = self._fresh(command, 1)
            if replacing:
                shutil.copytree(places[0], place, dirs_exist_ok=True)
                for name in command.copies:
                    source = name.format(n=1)
                    shutil.copy(self.inputs / ("r1.json" if source == "r.json" else source), place / source)
            more = " --overwrite" if replacing else ""
            for _ in range(self.random.randint(1, 8)):
                ended = self._kill(words + more, place, duration, events, figures)
                self._look(command, place, old if replacing else {}, new, figures, words)
                if ended:
                    break
            self._do(words + more, place)
            figures.finished += 1
            found = state(place, command)
            figures.wrong += [f"{name}, at the end" for name in new if new[name] != found.get(name)]
            figures.left_over += [name for name in found if name not in new and not (replacing and name in old)]
            shutil.rmtree(place)
        for place in places:
            shutil.rmtree(place)
        return figures

    def _count(self, words: str, place: Path) -> int:
        """How many file events a whole run has."""
        reading, writing = os.pipe()

        def before() -> None:
            seen = [0]

            def count() -> None:
                seen[0] += 1

            at_event(place, count)
            end = os._exit

            def said(code: int) -> None:
                os.dup2(writing, 1)
                sys.__stdout__.write(str(seen[0]))  # type: ignore[union-attr]
                sys.__stdout__.flush()  # type: ignore[union-attr]
                end(code)

            os._exit = said  # type: ignore[assignment]

        code = wait(made(words, place, before))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        if code:
            raise RuntimeError(f"fne {words}: exit {code}")
        return int(text)

    def _kill(self, words: str, place: Path, duration: float, events: int, figures: Figures) -> bool:
        """One run that is killed; whether it ended before."""
        by_event = self.random.random() < 0.5
        left = self.random.randrange(events) + 1 if events else 1

        def before() -> None:
            nonlocal left

            def count() -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            if by_event:
                at_event(place, count)

        child = made(words, place, before)
        if not by_event:
            moment = time.monotonic() + self.random.uniform(0, duration)
            while time.monotonic() < moment and not gone(child):
                time.sleep(0.001)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = wait(child)
        if code == -signal.SIGKILL:
            figures.kills += 1
            figures.at_events += by_event
        elif code:
            figures.wrong.append(f"exit {code}: {(self.folder / 'log').read_text()[-300:]}")
        return code == 0

    def _look(
        self, command: Command, place: Path, old: dict[str, str], new: dict[str, str], figures: Figures, words: str
    ) -> None:
        """Every output is absent, old or new."""
        found = state(place, command)
        for name, digest in new.items():
            if name in found and found[name] not in (digest, old.get(name)):
                figures.wrong.append(f"{name} of {words}, after a kill")
        figures.wrong += [f"{name} is gone, after a kill" for name in old if old[name] and name not in found]


def main() -> None:
    """Kill, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--only", default=",".join(command.name for command in COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to work: to try a file system (default: a temporary folder)")
    options = parser.parse_args()
    load_keras()
    import fne_cli.steps.analyze
    import fne_cli.steps.evaluate
    import fne_cli.steps.predict
    import fne_cli.steps.report  # noqa: F401  # loaded once, not by every fork

    chosen = [command for command in COMMANDS if command.name in options.only.split(",")]
    if not chosen:
        parser.error(f"--only should name some of: {', '.join(command.name for command in COMMANDS)}")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        torture = Torture(Path(folder).resolve(), options.seed, options.images)
        for number, command in enumerate(chosen):
            share = options.kills * (number + 1) // len(chosen) - options.kills * number // len(chosen)
            found = torture.torture(command, share)
            figures[command.name] = vars(found)
            print(command.name, json.dumps(vars(found)), file=sys.stderr, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = {key: sum(one[key] for one in figures.values()) for key in ("kills", "at_events", "finished")}
    total |= {key: sum(len(one[key]) for one in figures.values()) for key in ("wrong", "left_over")}
    total["seconds_of_cpu"] = round(used.ru_utime + used.ru_stime)
    print(json.dumps({"commands": figures, "total": total}, indent=2))


if __name__ == "__main__":
    main()
