"""Commands on a disk that fails or loses power: `python faulty_disk.py FOLDER MODE MOST WORDS...` with faults.c.

MODE eio: the command once without a fault, and then once for some of the calls on files of FOLDER that read, write or
sync (all, or about MOST of each), one of which fails with EIO. MODE power: the command once, every call written down.
Prints JSON. Each command is a fork. Files of FOLDER whose names begin with out. are its outputs.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of what the command has written, without what has times and what is unfinished."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("out.*"))
        if not path.name.endswith((".run.json", ".partial", ".partial.json", ".new"))
    }


def run(words: list[str], before: Callable[[], None], after: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """`fne WORDS` in a fork: its exit code, and what it said."""
    hears, says = os.pipe()
    child = os.fork()
    if not child:
        os.close(hears)
        os.dup2(says, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        from fne_cli.cli.main import main

        try:
            before()
            main([*words, "-q"])
        except SystemExit as end:
            after()
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        except BaseException:
            import traceback

            traceback.print_exc()
        os._exit(99)
    os.close(says)
    with os.fdopen(hears, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def clear(folder: Path) -> None:
    """Remove outputs and what belongs to them."""
    for path in folder.glob("out.*"):
        path.unlink()


def eio(shim: Any, folder: Path, words: list[str], most: int) -> list[dict[str, Any]]:
    """What came of each fault: kind, number, exit code, whether the outputs are right or absent, and after a repeat."""
    found = []
    for kind in "rws":
        count = folder.parent / "calls"
        clear(folder)
        code, said = run(
            words,
            lambda kind=kind: shim.fault(bytes(folder), kind.encode(), -1, -1),
            lambda count=count: count.write_text(str(ctypes.c_long.in_dll(shim, "fault_calls").value)),
        )
        if code:
            raise RuntimeError(said)
        right, calls = outputs(folder), int(count.read_text())
        for number in sorted({*range(1, calls + 1, max(1, calls // most)), calls} if calls else ()):
            clear(folder)
            code, said = run(
                words, lambda kind=kind, number=number: shim.fault(bytes(folder), kind.encode(), number, -1)
            )
            there = outputs(folder)
            wrong = [name for name, digest in there.items() if right.get(name) != digest]
            again, said_again = run(words, lambda: None)
            if again == 4 and there:  # one of several outputs was there, and nothing says of which command
                again, said_again = run([*words, "--overwrite"], lambda: None)
            same = outputs(folder) == right
            found.append(
                {"kind": kind, "call": number, "of": calls, "exit": code, "wrong": wrong, "whole": there == right,
                 "again": again, "same": same, "said": said[-300:], "said again": said_again[-300:]}
            )  # fmt: skip
    return found


def power(shim: Any, folder: Path, words: list[str]) -> dict[str, Any]:
    """After which calls a cut of the power could leave a wrong output, and outputs whose names were not synced."""
    clear(folder)
    log = folder.parent / "calls.log"

    def before() -> None:
        shim.fault(bytes(folder), b"", 0, os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND))

    code, said = run(words, before)
    if code:
        raise RuntimeError(said)
    right = {name: (folder / name).read_bytes() for name in outputs(folder)}
    now: dict[int, bytearray] = {}
    safe: dict[int, bytes] = {}
    names: dict[str, int] = {}
    unsynced, wrong, calls = {*right}, [], 0
    with open(log, "rb") as file:
        while line := file.readline():
            op, inode, offset, size = (line[:1].decode(), *map(int, line[1:].split()))
            data, calls = file.read(size), calls + 1
            content = now.setdefault(inode, bytearray())
            if op == "W":
                content.extend(bytes(max(0, offset + size - len(content))))
                content[offset : offset + size] = data
            elif op == "T":
                del content[offset:]
                content.extend(bytes(offset - len(content)))
            elif op == "S":
                safe[inode] = bytes(content)
                if inode == os.stat(folder).st_ino:
                    unsynced -= {*names}
            elif op in "RU":
                path = folder / os.fsdecode(data)  # an absolute one stays as it is
                name = path.name if path.parent == folder else ""
                if name in right:
                    names.pop(name, None)
                    unsynced.add(name)
                    if op == "R":
                        names[name] = inode
            # the name may be on the disk at once; of the content all, or no more than was synced
            for name, number in names.items():
                if right[name] not in (safe.get(number),) or right[name] != now[number]:
                    wrong.append(f"{name} after call {calls}, {op}")
    return {"calls": calls, "wrong": wrong, "unsynced": sorted(unsynced), "outputs": sorted(right),
            "renamed": sorted(names)}  # fmt: skip


def main() -> None:
    """As the module says."""
    folder, mode, most, words = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.fault.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long, ctypes.c_int]
    import fne_cli.steps.analyze
    import fne_cli.steps.evaluate
    import fne_cli.steps.predict  # noqa: F401  # loaded once

    modes: dict[str, Callable[[], Any]] = {
        "eio": lambda: eio(shim, folder, words, most),
        "power": lambda: power(shim, folder, words),
    }
    print(json.dumps(modes[mode]()))


if __name__ == "__main__":
    main()
