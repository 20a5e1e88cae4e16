"""Loading Keras: which lines of its libraries reach the user, and which settings of the user reach it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fne_cli.networks.backend import load_keras

# What TensorFlow 2.21 and its oneDNN print on import, whatever TF_CPP_MIN_LOG_LEVEL says.
NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795220914.964729   19734 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available ...
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate flags.
I0000 00:00:1795220914.964729 19734 port.cc:153] oneDNN custom operations are on. You may see slightly different ...

"""
REAL = """\
W0000 00:00:1795220914.964729 19734 gpu_device.cc:2365] Cannot dlopen some GPU libraries. Please make sure ...
/usr/lib/python3/keras/src/export.py:12: FutureWarning: something will change
ünreadable \\x00 line
"""

KERAS = """
import os
for line in {lines!r}.splitlines(keepends=True):
    os.write(2, line.encode())
{then}
class backend:
    backend = staticmethod(lambda: {backend!r})
class config:
    set_image_data_format = set_floatx = staticmethod(print)
"""
LOAD = """
import sys
from fne_cli.errors import BadInput
from fne_cli.networks.backend import load_keras
try:
    load_keras()
except BadInput as error:
    print(error)
print("before", file=sys.stderr)
load_keras()
"""


def load(folder: Path, lines: str, then: str = "", backend: str = "jax") -> subprocess.CompletedProcess[str]:
    """Load a module named keras that prints `lines` and then does `then`, in a process of its own."""
    (folder / "keras.py").write_text(KERAS.format(lines=lines, then=then, backend=backend))
    return subprocess.run([sys.executable, "-c", LOAD], cwd=folder, capture_output=True, text=True)


def test_noise_is_left_out_and_real_lines_are_passed_on(tmp_path: Path) -> None:
    mixed = "".join(
        line for pair in zip(NOISE.splitlines(True), (REAL * 2).splitlines(True), strict=False) for line in pair
    )
    done = load(tmp_path, mixed)
    assert done.stdout.split() == ["channels_last", "float32"] * 2
    assert done.stderr.splitlines() == [*(REAL * 2).splitlines()[:5], "before"]


def test_what_was_printed_before_a_failure_is_passed_on(tmp_path: Path) -> None:
    done = load(tmp_path, NOISE + REAL, then="raise ImportError('No module named jax')")
    assert done.stdout.splitlines() == [
        "Keras should find its backend. Found: No module named jax.",
        "Install it, or set KERAS_BACKEND=tensorflow.",
    ]
    assert done.stderr.startswith(REAL + "before\n")


def test_a_backend_that_the_extraction_is_not_written_for_is_an_error(tmp_path: Path) -> None:
    done = load(tmp_path, "", backend="openvino")
    assert done.stdout == "KERAS_BACKEND should be one of tensorflow, jax, torch. Found: openvino.\n"


@pytest.mark.parametrize("told", ["variable", "file", "nothing"])
def test_in_a_command_keras_finds_jax_if_that_is_its_backend_and_no_data_frames(tmp_path: Path, told: str) -> None:
    for name in ("pandas", "jax"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "keras.py").write_text(
        "for name in ('pandas', 'jax'):\n    try:\n        __import__(name)\n        print(name)\n"
        "    except ImportError:\n        pass\n" + KERAS.format(lines="", then="", backend="jax")
    )
    if told == "file":
        (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    environment |= {"KERAS_HOME": str(tmp_path)} | ({"KERAS_BACKEND": "jax"} if told == "variable" else {})
    code = "from fne_cli import imports\nimports.claim()\n" + LOAD
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [*(["jax"] if told != "nothing" else []), *["channels_last", "float32"] * 2]


def test_the_users_keras_json_does_not_turn_maps_around() -> None:
    keras = load_keras()
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    assert load_keras() is keras
    assert (keras.config.image_data_format(), keras.config.floatx()) == ("channels_last", "float32")
    layer = keras.layers.Conv2D(3, 1)
    assert (layer.data_format, layer.dtype_policy.name) == ("channels_last", "float32")


@pytest.mark.slow
def test_the_real_thing_prints_nothing() -> None:
    code = "from fne_cli.networks.backend import load_keras\nprint(load_keras().__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "keras\n"
    assert "absl::InitializeLog" not in done.stderr
    assert "oneDNN" not in done.stderr
