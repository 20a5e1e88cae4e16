"""Activations of a grid, with the images and objects that maps are drawn over."""

from pathlib import Path

import numpy as np
from activations import table, write
from pictures import write_image

SETTINGS = {"image_size": [8, 8], "resize": "squash", "layers": {"conv": "avg:4", "fc": "avg:4"}}
TEXTS = {"conv": {"pooling": "avg:4", "output_shape": "8 x 8 x 3"}, "fc": {"pooling": "avg:4", "output_shape": "5"}}


def write_grid(folder: Path) -> Path:
    """24 images of 40 x 20 pixels: class b has what the first channel sees in the cell 2, 1 (row, column).

    grid.h5 has the cells, average.h5 their averages; photos the test images, boxes.csv an object in each of class b.
    """
    rng = np.random.default_rng(1)
    cells = rng.normal(5, 1, (24, 4, 4, 3)).astype(np.float32)
    cells[1::2, 2, 1, 0] += 12
    layers = {"conv": cells.reshape(24, 48), "fc": rng.normal(0, 1, (24, 5)).astype(np.float32)}
    names = [f"{'ab'[n % 2]}/{n}.png" for n in range(24)]
    for number, name in enumerate(names[12:], 12):
        write_image(folder / "photos" / name, number, size=(40, 20))
    images = table(24, paths=names, split=["train"] * 12 + ["test"] * 12)
    images.sha256 = [""] * 24
    write(folder / "grid.h5", layers, images, settings=SETTINGS, texts=TEXTS)
    average = {"conv": cells.reshape(24, 16, 3).mean(axis=1), "fc": layers["fc"]}
    pooled = {"layers": {"conv": "avg", "fc": "avg"}}
    write(folder / "average.h5", average, images, settings=SETTINGS | pooled)
    lines = [f"{name},b,10,10,20,15" for name in names[13::2]]
    (folder / "boxes.csv").write_text("\n".join(["path,label,x0,y0,x1,y1", *lines]) + "\n")
    return folder
