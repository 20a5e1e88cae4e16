"""The disk of the working folder, and where weights of networks are kept and come from."""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fne_cli.errors import FneError
from fne_cli.store.output.partial import Output

WEIGHTS = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5"
)
"""The first that most people need: whether it can be had is whether the others can."""

_SHARED = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "ceph", "fuse.sshfs", "9p", "afs", "panfs")
_PATIENCE = 5.0  # seconds to wait for an answer


@dataclass(frozen=True)
class Problem:
    """What is not as it should be, and what to do. serious: something cannot work as long as it is so."""

    problem: str
    remedy: str
    serious: bool = False


def disk_of(folder: Path, problems: list[Problem]) -> dict[str, Any]:
    """Where a folder is, its file system, its free bytes, and whether outputs can be written and locked there."""
    place = os.path.abspath(folder)
    kind, mount = file_system(place)
    found: dict[str, Any] = {"folder": place, "file_system": kind, "mounted_on": mount, "free": None, "writable": True}
    with suppress(OSError):
        found["free"] = shutil.disk_usage(place).free
    try:
        with tempfile.TemporaryDirectory(prefix=".fne-doctor-", dir=place) as scratch:
            with Output(Path(scratch) / "output") as output:
                output.into.write_bytes(b"")
                output.accept()
    except (OSError, FneError) as error:
        reason = error.problem if isinstance(error, FneError) else error.strerror or str(error)
        problems.append(Problem(f"outputs cannot be written to {place}: {reason}", "work in another folder", True))
        found["writable"] = False
    if kind in ("tmpfs", "ramfs"):
        problems.append(Problem(f"{place} is in memory ({kind}), and gone when the machine stops", "work on a disk"))
    elif kind.startswith(_SHARED):
        problems.append(
            Problem(
                f"{place} is on a file system over the network ({kind})",
                "where it is slow, extract to a disk of this machine and copy the file",
            )
        )
    return found


def file_system(place: str, mounts: Path = Path("/proc/self/mounts")) -> tuple[str, str]:
    """The kind of file system that a folder is on, and where that is mounted; "unknown" where nobody says."""
    found = ("unknown", "")
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return found
    real = os.path.realpath(place)
    for line in lines:
        words = line.split()
        if len(words) > 2:
            where = words[1].encode("utf-8", "surrogateescape").decode("unicode_escape")  # a blank is \040
            inside = real == where or real.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(found[1]):
                found = (words[2], where)
    return found


def weights_of(problems: list[Problem], address: str = WEIGHTS) -> dict[str, Any]:
    """The folder that Keras keeps weights in, the files there with their bytes, and whether others can be had."""
    folder = Path(os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))) / "models"
    files: dict[str, int] = {}
    with suppress(OSError):
        files = {path.name: path.stat().st_size for path in sorted(folder.glob("*.h5"))}
    reason = _unreachable(address)
    if reason:
        problems.append(
            Problem(
                f"weights cannot be downloaded: {reason}",
                f"fetch {address}\nelsewhere and put it into {folder}, or give its path as --weights; "
                "--model mini comes with fne",
            )
        )
    return {"folder": str(folder), "files": files, "can_be_downloaded": not reason}


def _unreachable(address: str) -> str:
    """Why an address gives no answer, "" if it does."""
    try:
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310  # an address of ours
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        told = error.reason if isinstance(error, urllib.error.URLError) else error
        return " ".join(str(told).split())[:200] or type(error).__name__
