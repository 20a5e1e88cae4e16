"""What tests share: the command run in this process, small images, small networks, and the real data if it is there."""

from __future__ import annotations

import gc
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # bytes are compared; without it they depend on an image's neighbours
os.environ.setdefault("SCIPY_ARRAY_API", "1")  # scikit-learn's own checks of estimators leave some out otherwise

import hypothesis
import pytest
from commands import Result
from pictures import write_image
from places import SHARED

from fne_cli.cli import console

# A busy machine may stop a test for seconds anywhere.
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What has been imported is no garbage: hundreds of thousands of objects that would be looked at for ever."""
    gc.set_threshold(20_000, 20, 20)
    keep()


def keep() -> None:
    """Look for garbage among what comes now only."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real networks and datasets, outside the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"needs {SHARED.name}/ with real networks and images beside the repository")
    return SHARED


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """None come before ten seconds are over, which they are on a busy machine only."""
    monkeypatch.setattr(console, "_FIRST_LINE", math.inf)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """What is synced is with the system before, and no test takes this machine's power away.

    Tests of what is synced, and when, put their own in its place; processes that tests start sync as ever.
    """

    def fsync(handle: int) -> None:
        os.fstat(handle)  # which raises for what is no open file

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(os, "fsync", fsync)
        yield


@pytest.fixture(scope="session")
def networks() -> dict[object, Any]:
    """What `opened_once` has opened."""
    return {}


@pytest.fixture
def opened_once(networks: dict[object, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Extractions in this process open and compile a network once, as a worker with one shard after the other does.

    Nothing changes a network that is opened; of a file that has changed it is another one.
    """
    from fne_cli.networks import prepared

    opening, compiling = prepared.open_network, prepared.Extractor

    def opened(*arguments: object) -> object:
        files = [path for path in arguments if isinstance(path, str) and os.path.isfile(path)]
        key = (arguments, *((path, os.stat(path).st_mtime_ns, os.stat(path).st_size) for path in files))
        if key not in networks:
            networks[key] = opening(*arguments)
        return networks[key]

    def compiled(network: Any, taps: Any, poolings: Any, rows: int, *more: Any) -> Any:
        key = (id(network), *(tap.layer for tap in taps), *map(repr, poolings), rows, more[0])
        found = networks.get(key)
        if found is None or found.used != rows:  # or memory has given out
            found = networks[key] = compiling(network, taps, poolings, rows, *more)
        return found

    monkeypatch.setattr(prepared, "open_network", opened)
    monkeypatch.setattr(prepared, "Extractor", compiled)


@pytest.fixture
def fne(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Run the command line in this process: fne("normalize", a, b, "--rows", "all")."""
    from fne_cli.cli.main import main

    for name in [name for name in os.environ if name.startswith("FNE_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Result(int(end.value.code or 0), captured.out, captured.err)

    yield run


@pytest.fixture
def ordinary_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of a user who may not do everything; until the test ends this process is that user."""
    if os.geteuid() != 0:
        yield tmp_path
        return
    nobody = 65534
    with ExitStack() as stack:
        for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # nobody else may enter some of root's own
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=parent)))
            os.chown(folder, nobody, nobody)
            stack.callback(os.seteuid, 0)
            os.seteuid(nobody)
            if os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                yield folder
                return
            os.seteuid(0)
        pytest.fail("There should be a temporary folder that an ordinary user may enter. Set TMPDIR to one.")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """26 images of three classes in train/ and test/; not a multiple of any batch size used."""
    folder = tmp_path / "photos"
    for number in range(26):
        split = "train" if number % 3 else "test"
        write_image(folder / split / "abc"[number % 4 % 3] / f"{number:02d}.png", number)
    return folder


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as a .keras file: two convolutions, a dense layer, a classifier; 12 + 6 + 20 features."""
    from fne_cli.networks.backend import load_keras

    keras = load_keras()
    keep()
    keras.utils.set_random_seed(3)
    x = images = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(12, 3, activation="relu", name="conv1")(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Conv2D(6, 3, activation="relu", name="conv2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(20, activation="relu", name="dense")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    x = keras.layers.Dense(3, activation="softmax", name="scores")(x)
    path = tmp_path_factory.mktemp("networks") / "small.keras"
    keras.Model(images, x, name="small").save(path)
    return path


@pytest.fixture
def extract(fne: Callable[..., Result], network: Path, opened_once: None) -> Callable[..., Result]:
    """fne extract with the small network: extract(images, output, "--crops", 5)."""

    def run(images: object, output: object, *more: object) -> Result:
        return fne("extract", images, output, "--model", network, "--preprocess", "tf", "--batch-size", 4, *more)

    return run
