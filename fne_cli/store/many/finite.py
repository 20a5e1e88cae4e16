"""Values that no mean can be taken of, named for the person who must find them."""

from __future__ import annotations

import numpy as np

from fne_cli.errors import DamagedFile
from fne_cli.store.many.joined import Part, Several


def refuse_infinite(files: Several, layer: str, part: Part, chosen: np.ndarray) -> None:
    """Raise DamagedFile for the first row of a part that is not finite, among the `chosen` images, (n,) bool."""
    reader, mask = files.layers[layer][part.file], files.of_file(chosen, part.file)
    for start in range(part.start, part.stop, reader.chunk_rows):
        stop = min(start + reader.chunk_rows, part.stop)
        bad = ~np.isfinite(reader.read(start, stop)).all(axis=1) & mask[np.arange(start, stop) // files.crops]
        if bad.any():
            row = start + int(np.flatnonzero(bad)[0])
            path = files.files[part.file].column("images/path", row // files.crops, row // files.crops + 1)[0]
            raise DamagedFile(
                f"{files.files[part.file].path}: layer {layer}, row {row} ({path.decode(errors='replace')}) should "
                "have finite activations. Found: infinity or not a number.\n"
                "float16 ends at 65,504: extract with --dtype float32. fne verify lists all such rows."
            )
    raise AssertionError(f"{layer} {part}: finite values with an infinite sum of squares")
