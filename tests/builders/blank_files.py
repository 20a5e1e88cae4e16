"""What is created in a blank HDF5 file by tests."""

import h5py
import numpy as np

from fne_cli.store.format.chunks import create_column


def two_columns(file: h5py.File) -> None:
    group = file.create_group("layers")
    file.attrs["settings"] = "x" * 100_000
    for name in ("a", "b"):
        create_column(group, name, (3000, 1000), "f4")
    file.create_dataset("classes", data=np.array([b"cat"]), track_times=False)
