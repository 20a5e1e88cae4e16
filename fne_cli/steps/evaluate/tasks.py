"""What a worker does for an evaluation: one fit, of one embedding in one trial."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from fne_cli.errors import DoesNotFit
from fne_cli.machine import free_memory
from fne_cli.numerics.models import arrays_of
from fne_cli.progress import SILENT, Progress
from fne_cli.steps.evaluate.fits import KINDS, Fits
from fne_cli.steps.evaluate.options import FitPlan
from fne_cli.tasks.files import Result, TaskFiles, check_same_file, open_inputs, task

_KEPT_SECONDS = 120.0


@task
def fit_one(settings: Mapping[str, Any], files: TaskFiles, progress: Progress) -> Result:
    """A worker's task: one embedding in one trial."""
    with _forgetting.put_off():
        fits = _opened(json.dumps({name: settings[name] for name in ("paths", "plan", "inputs")}))
        found = fits.fit(settings["fit"])
    arrays: dict[str, np.ndarray] = {}
    if settings["details"] and found.detail is not None:
        judged, model, fitted = found.detail.judged, found.detail.model, found.detail.embedding
        files.save(decisions=judged.decisions, predicted=judged.predicted)
        if settings["details"] == "classifier" and model is not None:
            arrays = arrays_of(model)
            files.save(classes=model.classes, **arrays)
            if fitted is not None:
                files.save(**{f"state-{name}": values for name, values in fitted.state().items()})
    return {"figures": found.outcome.figures, "seconds": found.outcome.seconds, "arrays": list(arrays)}


@lru_cache(maxsize=1)
def _opened(text: str) -> Fits:
    """The fits of the last task are those of the next: its rows, and their Gram matrix, are in memory."""
    settings = json.loads(text)
    source, plan = open_inputs(settings, *KINDS), FitPlan.of_plain(settings["plan"])
    fits, free = Fits(source, plan, SILENT), free_memory()
    if fits.projection is not None:
        check_same_file(fits.projection.path, fits.projection.source["fingerprint"], settings["inputs"])
    if fits.bytes > free:
        raise DoesNotFit(
            f"Worker {platform.node()} should have {fits.bytes / 2**30:.1f} GiB of memory for a fit. Found: "
            f"{free / 2**30:.1f} GiB.\nGive less with --memory, of which every worker takes as much, or fewer workers."
        )
    return fits


class _Forgetting:
    """What a worker has of its last task goes when no other follows: workers outlive commands."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._timer = seconds, threading.Timer(0, _opened.cache_clear)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Not while this is open, and count from then."""
        self._timer.cancel()
        try:
            yield
        finally:
            self._timer = threading.Timer(self._seconds, _opened.cache_clear)
            self._timer.daemon = True
            self._timer.start()


_forgetting = _Forgetting(_KEPT_SECONDS)
