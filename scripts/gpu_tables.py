"""What `bench_gpu.py` prints: a table for each backend, and whether the bars are met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

BACKENDS = ("tensorflow", "jax", "torch")
OF_BARE, OF_BEST = 0.95, 0.7


def has_failed(found: Any) -> bool:
    """Whether anything in it says so."""
    return isinstance(found, dict) and ("failed" in found or any(map(has_failed, found.values())))


def show(backend: str, found: dict[str, Any]) -> None:
    """Print what was found with a backend, or by hand."""
    device = ", ".join(found.get("accelerators", [])) or found.get("device") or "the processor"
    print(f"\n{backend} on {device}")
    for name, part in found.items():
        if has_failed(part) or name == "failed":
            print(f"  {name} FAILED: {part['failed'] if isinstance(part, dict) else part}")
        elif name == "matrix_tflops":
            print(f"  matrix product    float32 {part['float32']:.3f}, bfloat16 {part['bfloat16']:.3f} TFLOP/s")
        elif name == "networks":
            for entry in part:
                how = f"{entry['model']} {entry['precision']} x {entry['rows']}{' XLA' if entry['xla'] else ''}"
                print(f"  {how:32} {entry['ours']:10.1f} img/s, bare {entry['bare']:10.1f}: {entry['of_bare']:.2f}")
        elif name == "same_bytes_at_every_place":
            print(
                "  same bytes        "
                + ", ".join(f"{which}: {'yes' if same else 'NO'}" for which, same in part.items())
            )
        elif name == "pipeline":
            print(f"  decoding          {part['decoding']:.1f} img/s, extract end to end {part['end_to_end']:.1f}")
        elif name == "memory" and part["tried"] == "yes":
            told = f"{part['rows']} rows in {part['bytes'] >> 20} MiB: went on with {part['used']}"
            print(f"  memory            {told}; at most {part['largest_difference']:.0e} apart from a small batch")
        elif name == "memory":
            print(f"  memory            tried: {part['tried']}")
        elif name.endswith("_per_second"):
            print(f"  VGG16 {name.removesuffix('_per_second'):12} {part:10.1f} img/s")


def verdicts(figures: dict[str, Any]) -> Iterator[str]:
    """Each bar, met or missed: at the largest batches of each precision the best way of ours."""
    found = {name: figures.get(name, {}).get("networks") for name in BACKENDS}
    entries = [(name, one) for name, those in found.items() if isinstance(those, list) for one in those]

    def line(what: str, share: float, bar: float) -> str:
        return f"  {what:60} {share:5.2f}, bar {bar}: {'met' if share >= bar else 'MISSED'}"

    for kind in dict.fromkeys((one["model"], one["precision"]) for _, one in entries):
        those = [(name, one) for name, one in entries if (one["model"], one["precision"]) == kind]
        name, ours = max(those, key=lambda pair: float(pair[1]["ours"]))
        how = f"{name} x {ours['rows']}{' XLA' if ours['xla'] else ''}"
        yield line(f"{' '.join(kind)} against the bare network ({how})", ours["of_bare"], OF_BARE)
        by_hand = figures.get("by hand", {}).get(f"{kind[1]}_per_second", 0.0) if kind[0] == "vgg16" else 0.0
        best = max(by_hand, *(one["bare"] for _, one in those))
        yield line(f"{' '.join(kind)} against the best of all, {best:.1f} img/s", ours["ours"] / best, OF_BEST)
