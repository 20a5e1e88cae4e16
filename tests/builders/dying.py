"""A program that runs commands many times in children: killed at every event of a file, or as a disk fills up.

    python dying.py kill|full FOLDER STEP COMMAND ...

FOLDER has what `real_files.write_all` makes. It prints a line of JSON for each run that left something wrong, and the
number of runs. The parent starts no thread, so that its children can.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from activations import shards, table, write
from pictures import write_image

MAPS = ("conv-1.json", "conv-1.png", "conv-1.svg")
RECORD_OF_FIGURES = "conv-1.run.json"
"""It is written before them, and again after."""

COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "normalize": (("normalize", "activations.h5", "out/m.h5"), ("m.h5",)),
    "standardized": (("normalize", "activations.h5", "out/m.h5", "--standardized", "out/z.h5"), ("m.h5", "z.h5")),
    "discretize": (("discretize", "activations.h5", "moments.h5", "out/c.h5"), ("c.h5",)),
    "packed": (("discretize", "activations.h5", "moments.h5", "out/c.h5", "--packed"), ("c.h5",)),
    "analyze": (("analyze", "activations.h5", "out/b.h5", "--random-classes", "20"), ("b.h5",)),
    "reduce": (("reduce", "activations.h5", "out/d.h5", "--components", "2", "--whiten"), ("d.h5",)),
    "npy": (("export", "codes.h5", "out/a.npy"), ("a.npy", "a.npy.images.csv")),
    "npz": (("export", "codes.h5", "out/a.npz"), ("a.npz",)),
    "csv": (("export", "codes.h5", "out/a.csv"), ("a.csv",)),
    "svm": (("export", "codes.h5", "out/a.svm"), ("a.svm",)),
    "faiss": (("export", "codes.h5", "out/a.faiss"), ("a.faiss", "a.faiss.images.csv")),
    "usearch": (("export", "codes.h5", "out/a.usearch"), ("a.usearch", "a.usearch.images.csv")),
    "copy": (("export", "codes.h5", "out/a.copy"), ("a.copy",)),
    "parquet": (("export", "codes.h5", "out/a.parquet"), ("a.parquet",)),
    "evaluate": (
        ("evaluate", "codes.h5", "out/r.json", "-C", "1", "--predictions", "out/p.csv", "--model", "out/k.npz"),
        ("r.json", "p.csv", "k.npz"),
    ),
    "merge": (("merge", "shard1.h5", "shard2.h5", "out/w.h5"), ("w.h5",)),
    "predict": (("predict", "classifier.npz", "codes.h5", "out/p.csv"), ("p.csv",)),
    "detect": (("detect", "regions.npz", "regions.h5", "out/d.csv"), ("d.csv",)),
    "rank": (("rank", "activations.h5", "--csv", "out/r.csv"), ("r.csv",)),
    "retrieve": (
        ("retrieve", "activations.h5", "out/t.json", "--per-query", "out/q.csv"),
        ("t.json", "q.csv"),
    ),
    "search": (("search", "codes.h5", "out/s.csv"), ("s.csv",)),
    "scatter": (("scatter", "codes.h5", "out/x.csv"), ("x.csv",)),
    "map": (("scatter", "activations.h5", "out/x.html"), ("x.html",)),
    "neighbours": (("search", "activations.h5", "out/n.html"), ("n.html",)),
    "duplicates": (("search", "codes.h5", "--duplicates", "out/d.jsonl"), ("d.jsonl",)),
    "features": (("features", "grid.h5", "--feature", "conv:1", "--top", "2", "--maps", "out"), MAPS),
    "split": (("split", "list.csv", "out/s.csv", "--test", "0.5"), ("s.csv",)),
    "vocabulary": (
        ("vocabulary", "pictures", "out/v.h5", "--words", "2", "--components", "2", "--samples", "60"),
        ("v.h5",),
    ),
    "report": (("report", "results.json", "out/page.html", "--latex", "out/t.tex"), ("page.html", "t.tex")),
}
"""Words of the command, and its outputs in out/; those that begin with the name of another have no record."""

EXTRACT = (("extract", "pictures", "out/x.h5", "--model", "mini", "--layers", "block1_conv1"), ("x.h5",))
"""For full disks; what kills it meets is tested with the torture of it. Unfinished work stays, to be gone on with."""

GRID = {"image_size": [8, 8], "resize": "squash", "layers": {"conv": "avg:2"}}
CELLS = {"conv": {"pooling": "avg:2", "output_shape": "8 x 8 x 3"}}
"""Of activations that are cells of a map."""

EVENTS = ((os, "replace"), (os, "rename"), (os, "unlink"), (os, "fsync"), (os, "truncate"), (os, "ftruncate"))


def prepare(folder: Path, commands: Collection[str]) -> None:
    """The inputs of these commands, in a child."""
    for number in range(8):
        (folder / f"{number}.png").touch()
    rows = [f"{number}.png,{'ab'[number % 2]}" for number in range(8)]
    (folder / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    rng = np.random.default_rng(0)
    for number in range(8):
        write_image(folder / "pictures" / "ab"[number % 2] / f"{number}.png", number)
    shards(folder, {"conv": rng.random((24, 40), np.float32)}, table(24), 2)
    write(folder / "grid.h5", {"conv": rng.random((24, 12), np.float32)}, table(24), settings=GRID, texts=CELLS)
    if not {"classifier.npz", "results.json", "regions.npz"} & {
        word for name in commands for word in COMMANDS[name][0]
    }:
        return
    words = ("evaluate", "codes.h5", "results.json", "-C", "1", "--model", "classifier.npz")
    code, said = child(lambda: command(words))
    assert code == 0, said
    regions = table(24, paths=[f"a.png#{n},0,{n + 9},9" for n in range(24)], split=["train", "train", "test"] * 8)
    write(folder / "regions.h5", {"conv": rng.random((24, 4), np.float32)}, regions)
    of_regions = ("evaluate", "regions.h5", "--embedding", "raw", "-C", "1", "--model", "regions.npz")
    code, said = child(lambda: command(of_regions))
    assert code == 0, said


def command(words: tuple[str, ...]) -> None:
    """The command line in this process."""
    from fne_cli.cli.main import main

    main([*words, "-q"])


def child(work: Callable[[], None]) -> tuple[int, str]:
    """Do it in a child: its exit code (negative: the signal that ended it), and what it said on standard error."""
    reading, writing = os.pipe()
    number = os.fork()
    if number == 0:
        os.dup2(writing, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 99
        try:
            work()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            import traceback

            traceback.print_exc()
        import atexit

        import h5py

        atexit._run_exitfuncs()
        h5py._hl.files.h5f.get_obj_count()  # HDF5 is there, and ends as the process does
        sys.stderr.flush()
        _end(code)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8", errors="replace") as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), text


def _end(code: int) -> None:
    """As exit(): what libraries do at the end is done, where HDF5 crashes if it holds a file that it cannot close."""
    import ctypes

    ctypes.CDLL(None).exit(code)


def arm(point: int) -> None:
    """Have this process end like one that is killed, before the event of that number."""
    left = point

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(137)
            left -= 1
            return real(*arguments, **options)

        return call

    for owner, name in EVENTS:
        setattr(owner, name, around(getattr(owner, name)))


def emptied(out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()


def digest(path: Path) -> str:
    """Of the bytes of an output; of those of the output that a record is of."""
    return hashlib.sha256(path.with_name(path.name.removesuffix(".run.json")).read_bytes()).hexdigest()


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def wrong_records(out: Path, outputs: tuple[str, ...]) -> list[str]:
    """Outputs whose record is not of the file that is there, or says nothing of how it was made."""
    found = []
    for name in outputs:
        if name.endswith((".images.csv", ".png", ".svg")):  # the record of figures is that of their folder
            continue
        record = json.loads((out / f"{name}.run.json").read_text())
        state = (out / name).stat()
        same = record.get("output") == {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
        if not same or "made_from" not in record:
            found.append(name)
    return found


def killed(name: str, step: int, again: bool) -> int:
    """Kill it before every `step`-th event; the same command then makes all whole. again: an output is replaced."""
    words, outputs = COMMANDS[name]
    out = Path("out")
    emptied(out)
    assert child(lambda: command(words))[0] == 0
    whole, content = names(out), {each: (out / each).read_bytes() for each in outputs}
    more = ("--overwrite",) if again else ()
    for runs, point in enumerate(range(0, 1000, step), start=1):
        if not again:
            emptied(out)

        def dying(point: int = point) -> None:
            arm(point)
            command((*words, *more))

        code, _ = child(dying)
        after, said = child(lambda: command(words))
        problems = [said] if after else []
        problems += [f"left: {each}" for each in {*names(out)} ^ {*whole}]
        problems += [f"bytes of {each}" for each in outputs if (out / each).read_bytes() != content[each]]
        problems += [f"record of {each}" for each in wrong_records(out, outputs)]
        if problems:
            print(json.dumps({"command": name, "again": again, "point": point, "problems": problems}), flush=True)
            emptied(out)
            child(lambda: command(words))
        if code == 0:
            return runs
    raise AssertionError("no end of events")


def full(name: str, step: int, _: bool) -> int:
    """Permit files of 0, `step` ... bytes: an error in words, nothing left, until the output fits."""
    words, outputs = COMMANDS.get(name, EXTRACT)
    out, runs = Path("out"), 0
    emptied(out)
    assert child(lambda: command(words))[0] == 0
    size = max((out / each).stat().st_size for each in outputs)
    # Of two outputs the first may be there, as it should be, with its record.
    right = {each: digest(out / each) for each in outputs}
    records = [each for each in names(out) if each.endswith(".run.json") and each != RECORD_OF_FIGURES]
    right |= {each: right[each.removesuffix(".run.json")] for each in records}
    for limit in range(0, size + 8 * step, step):
        emptied(out)

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            command(words)

        code, said = child(limited)
        runs += 1
        expected = ("x.h5.partial", "x.h5.partial.json") if name == "extract" else (RECORD_OF_FIGURES,)
        left = [each for each in names(out) if each not in expected]
        left = [each for each in left if each not in right or digest(out / each) != right[each]]
        told = code == 1 and said.startswith("fne: ") and "Traceback" not in said and not left
        if not (told or code == 0):
            print(
                json.dumps({"command": name, "limit": limit, "code": code, "said": said, "left": left}),
                flush=True,
            )
        if code == 0 and limit > size:
            break
    return runs


if __name__ == "__main__":
    mode, place, every, *chosen = sys.argv[1:]
    os.chdir(place)
    # Loaded once, not by every child.

    if "extract" in chosen:
        from fne_cli.networks.backend import load_keras

        load_keras()
    for one in {(COMMANDS.get(one) or EXTRACT)[0][0] for one in chosen}:
        importlib.import_module(f"fne_cli.steps.{one}")
    prepare(Path(place), [one for one in chosen or COMMANDS if one in COMMANDS])
    total = 0
    for one in chosen or COMMANDS:
        for replaced in (False, True) if mode == "kill" else (False,):
            total += {"kill": killed, "full": full}[mode](one, int(every), replaced)
    print(json.dumps({"runs": total}))
