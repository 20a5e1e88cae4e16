"""Write fne_cli/networks/sizes.json: features, parameters and work of every network that has a name.

    PYTHONPATH=. python scripts/write_networks_sizes.py [NAME ...]

Each is built with random weights, at its own size, with its classifier: in some minutes and 6 GB. features are
those of the full embedding, as `fne layers` has them; parameters are Keras's count_params; flop is what TensorFlow's
profiler counts for one image (a multiplication and an addition are two). With names only those are computed anew.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fne_cli.networks.backend import forget, load_keras
from fne_cli.networks.catalog import NAMES
from fne_cli.networks.tapping.pooling import Pooling
from fne_cli.networks.tapping.taps import select
from fne_cli.networks.weights import open_network

FILE = Path(__file__).resolve().parents[1] / "fne_cli" / "networks" / "sizes.json"


def flop_of(model: Any) -> int:
    """Floating-point operations of one image."""
    import tensorflow as tf

    shape = (1, *model.inputs[0].shape[1:])
    run = tf.function(lambda images: model(images, training=False), autograph=False)
    graph = run.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
    profiler = tf.compat.v1.profiler
    wanted = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return int(profiler.profile(graph, cmd="op", options=wanted).total_float_ops)


def sizes_of(name: str) -> dict[str, int]:
    """What the file says of one network."""
    forget()
    network = open_network(name, weights="random")
    features = sum(Pooling().row_shape(tap.shape)[0] for tap in select(network.taps(), ()))
    return {"features": features, "parameters": network.model.count_params(), "flop": flop_of(network.model)}


def main() -> None:
    """Compute, and write after each network."""
    load_keras()
    found = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name in sys.argv[1:] or NAMES:
        found[name] = sizes_of(name)
        print(name, found[name], flush=True)
        ordered = {name: found[name] for name in NAMES if name in found}
        FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
