"""Whether networks of timm, torchvision and transformers, exported by PyTorch and read by `fne`, keep their values.

    pip install torch timm torchvision transformers onnxscript 'fne-cli[onnx]'
    python scripts/try_exports.py [LIBRARY:NAME ...]

Random weights, so nothing is downloaded. Of each network, by both exporters and with an open batch, as docs/networks.md
has the lines: how many taps there are, and how far the last output, and some taps that are named below, are from
PyTorch's own: the largest difference as a share of the largest value.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fne_cli.networks.onnx.prepared import open_onnx
from fne_cli.networks.onnx.program import as_it_is
from fne_cli.networks.onnx.session import session

IMAGES = 2
SMALL = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 224}
WIDE = SMALL | {"intermediate_size": 128}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "ViT": WIDE,
    "Dinov2": SMALL,
    "Dinov2WithRegisters": SMALL,
    "DINOv3ViT": WIDE | {"patch_size": 16},
    "CLIPVision": WIDE | {"patch_size": 32},
    "SiglipVision": WIDE | {"patch_size": 32},
    "ConvNext": {"depths": [1, 1, 2, 1], "hidden_sizes": [16, 32, 48, 64]},
}
"""Configurations, small; the last output is that of the model without a head."""
TAPS = {
    "timm:vit_tiny_patch16_224": {"blocks.5.stream": "blocks.5", "blocks.3.mlp": "blocks.3.mlp.act"},
    "torchvision:vit_b_16": {"encoder.layers.encoder_layer_5.stream": "encoder.layers.encoder_layer_5"},
    "transformers:Dinov2": {"encoder.layer.1.stream": "encoder.layer.1"},
    "timm:resnet18": {"layer4.1.conv2": "layer4.1.bn2"},
}
"""Of these the values of taps, by the module that makes them."""
ALL = [
    *(f"timm:{name}" for name in ("resnet18", "efficientnet_b0", "mobilenetv3_small_050", "convnext_atto")),
    *("timm:vit_tiny_patch16_224", "timm:vit_tiny_r_s16_p8_224", "timm:swin_tiny_patch4_window7_224"),
    *("torchvision:resnet50", "torchvision:densenet121", "torchvision:vit_b_16"),
    *(f"transformers:{name}" for name in TRANSFORMERS),
]


def built(wanted: str) -> Any:
    """The network, with random weights and statistics of its own."""
    import torch

    library, name = wanted.split(":")
    torch.manual_seed(0)
    if library == "timm":
        import timm

        network = timm.create_model(name, pretrained=False)
    elif library == "torchvision":
        import torchvision

        network = getattr(torchvision.models, name)(weights=None)
    else:
        import transformers

        network = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**TRANSFORMERS[name]))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
        if isinstance(module, torch.nn.Linear) and not module.weight.any():  # zeros, as torchvision begins
            module.weight.data.normal_(0, 0.1)
    return network.eval()


def older(network: Any, images: Any, path: Path) -> None:
    """By the exporter that follows what is computed."""
    import torch

    named = {"input_names": ["images"], "dynamic_axes": {"images": {0: "batch"}}}
    torch.onnx.export(network, images[:1], path, dynamo=False, **named)


def newer(network: Any, images: Any, path: Path) -> None:
    """By torch.export."""
    import torch

    torch.onnx.export(network, (images,), path, dynamo=True, dynamic_shapes=({0: "batch"},), verbose=False)


def compared(wanted: str, export: Callable[[Any, Any, Path], None], path: Path) -> Iterator[str]:
    """The number of taps, and how far values are apart."""
    import torch

    network, seen = built(wanted), dict[str, Any]()
    images = torch.rand(IMAGES, 3, 224, 224)
    export(network, images, path)
    for tap, module in TAPS.get(wanted, {}).items():

        def keep(_: Any, __: Any, out: Any, tap: str = tap) -> None:  # a copy, as sums are made in place
            seen[tap] = (out if torch.is_tensor(out) else out[0]).clone()

        network.get_submodule(module).register_forward_hook(keep)
    with torch.no_grad():
        out = network(images)
    seen["the last output"] = out if torch.is_tensor(out) else out[0]
    read = open_onnx(str(path), any_way=True)
    yield f"{sum(not tap.aside for tap in read.taps)} taps"
    tensors = {tap.layer: tap.tensor for tap in read.taps} | {"the last output": read.graph.outputs[0]}
    message, weights = as_it_is(read.graph, [tensors[name] for name in seen], IMAGES)
    found = session(message, weights, [tensors[name] for name in seen], read.graph.input)(images.numpy())
    for (name, theirs), ours in zip(seen.items(), found, strict=True):
        values = theirs.numpy()
        yield f"{name} {np.abs(ours - values).max() / np.abs(values).max():.0e}"


def main() -> None:
    """A line for each network and exporter."""
    warnings.simplefilter("ignore")
    failed = False
    for wanted in sys.argv[1:] or ALL:
        for export in (older, newer):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    line = ", ".join(compared(wanted, export, Path(folder) / "net.onnx"))
                except Exception as error:
                    failed, line = True, f"FAILED: {type(error).__name__}: {str(error).splitlines()[-1][:200]}"
            print(f"{wanted}, {export.__name__}: {line}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
