"""What there is to work with: software, processors, accelerators, memory, the disk, weights; and what to mend."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from fne_cli.errors import FneError
from fne_cli.machine import free_memory, processors
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.doctor.places import Problem, disk_of, weights_of
from fne_cli.version import __version__

_PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "h5py", "pillow", "keras", "tensorflow", "tensorflow-cpu")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_FEATURES = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve")


@dataclass(frozen=True)
class Health:
    """What was found, each part as `--json` prints it, and what is to be mended.

    versions: of packages by name; extras: those that are optional and not there, by the extra that brings them.
    processor: name, count, features, threads (variables that limit them). devices: accelerators that networks compute
    on. memory: bytes that are free. disk: of the working folder. weights: the cache, and whether more can be had.
    """

    versions: dict[str, str]
    extras: dict[str, list[str]]
    processor: dict[str, Any]
    backend: str
    devices: list[str]
    memory: int
    disk: dict[str, Any]
    weights: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)

    @property
    def works(self) -> bool:
        """Whether nothing is in the way of the commands."""
        return not any(problem.serious for problem in self.problems)


def doctor(folder: Path = Path(), *, progress: Progress = SILENT) -> Health:
    """Look at this machine for work in `folder`; a small file is written there and removed again."""
    versions = {"fne": __version__, "python": platform.python_version(), **_versions(_PACKAGES)}
    problems: list[Problem] = []
    progress.note("loading Keras")
    backend, devices = _devices(problems)
    progress.note("asking whether weights can be downloaded")
    disk, weights = disk_of(folder, problems), weights_of(problems)
    return Health(
        versions, _missing_extras(), _processor(problems), backend, devices, free_memory(), disk, weights, problems
    )


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _missing_extras() -> dict[str, list[str]]:
    """By extra, the packages that are not installed; none if fne itself is not, as in a working tree."""
    try:
        required = metadata.requires("fne-cli") or []
    except metadata.PackageNotFoundError:
        return {}
    missing: dict[str, list[str]] = {}
    for text in required:
        named, extra = re.match(r"[\w.-]+", text), re.search(r"extra == ['\"]([\w-]+)['\"]", text)
        if named and extra and extra[1] not in ("test", "gpu") and not _versions((named[0],)):
            missing.setdefault(extra[1], []).append(named[0])
    return missing


def _processor(problems: list[Problem]) -> dict[str, Any]:
    from fne_cli.networks.running.extractor import processor_name

    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = {name: os.environ[name] for name in _THREADS if os.environ.get(name)}
    lower = [f"{name}={value}" for name, value in limits.items() if value.isdecimal() and int(value) < count]
    if lower:
        problems.append(
            Problem(
                f"{', '.join(lower)}: fewer threads than the {count:,} processors that there are",
                f"unset {' '.join(text.partition('=')[0] for text in lower)}, if that is not meant",
            )
        )
    return {"name": processor_name(), "count": processors(), "features": _features(), "threads": limits}


def _features(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What of the processor's features matters to networks, as the kernel calls them."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    words = next((line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [name for name in _FEATURES if name in words]


def _devices(problems: list[Problem]) -> tuple[str, list[str]]:
    """Keras's backend, and the accelerators that it computes on."""
    from fne_cli.networks import backend

    try:
        name = backend.load_keras().backend.backend()
        found = backend.accelerators()
        slow = backend.lacks_onednn()
    except FneError as error:
        problems.append(Problem(f"networks cannot be loaded: {error.problem}", error.remedy, serious=True))
        return "none", []
    if slow:
        problems.append(
            Problem(
                "TF_ENABLE_ONEDNN_OPTS=0: an image's last bits depend on its place in the batch",
                "unset TF_ENABLE_ONEDNN_OPTS",
            )
        )
    if not found and os.path.exists("/dev/nvidiactl"):
        problems.append(
            Problem(
                f"there is an NVIDIA driver, and {name} finds no GPU",
                "pip install 'fne-cli[gpu]', and look whether nvidia-smi lists it",
            )
        )
    return name, found
