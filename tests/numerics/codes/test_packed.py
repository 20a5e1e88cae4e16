import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fne_cli.numerics.codes.packed import pack, plane_bytes
from fne_cli.store.format.checksum import fletcher32
from fne_cli.store.format.chunks import plain_fletcher32
from fne_cli.store.format.layer import impossible, unpack


def packed(codes):
    planes = np.full((len(codes), 2, plane_bytes(codes.shape[1])), 0xAA, np.uint8)
    pack(codes, planes)
    return planes


def test_by_hand():
    codes = np.array([[1, 0, -1, 0, 0, 0, 0, 1, -1, 1]], np.int8)
    assert packed(codes).tolist() == [[[0b10000001, 0b10], [0b00000100, 0b01]]]


@settings(deadline=None)
@given(shape=st.tuples(st.integers(0, 9), st.integers(1, 70)), seed=st.integers(0, 99))
def test_there_and_back_and_by_numpy(shape, seed):
    codes = np.random.default_rng(seed).integers(-1, 2, shape, dtype=np.int8)
    planes = packed(codes)
    assert not impossible(planes, shape[1])
    assert np.array_equal(unpack(planes, shape[1]), codes)
    bits = np.unpackbits(planes, axis=2, count=shape[1], bitorder="little").view(np.int8)
    assert np.array_equal(bits[:, 0] - bits[:, 1], codes)


@pytest.mark.parametrize(("plane", "byte", "value"), [(0, 0, 0b100), (0, 1, 0b100), (1, 1, 0x80)])
def test_impossible_bits(plane, byte, value):
    planes = packed(np.array([[1, 0, -1, 0, 0, 0, 0, 1, -1, 1]], np.int8))
    planes[0, plane, byte] |= value
    assert impossible(planes, 10)


@pytest.mark.parametrize("size", [1, 2, 3, 511, 512, 513, 360 * 512, 360 * 512 + 7, 1 << 20])
@pytest.mark.parametrize("content", ["random", "zeros", "ones"])
def test_fletcher32_is_that_of_hdf5(tmp_path, size, content):
    values = {
        "random": np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8),
        "zeros": np.zeros(size, np.uint8),
        "ones": np.full(size, 255, np.uint8),
    }[content]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("a", data=values, chunks=(size,), fletcher32=True)
        _, chunk = dataset.id.read_direct_chunk((0,))
    assert plain_fletcher32(values) == fletcher32(values) == int.from_bytes(chunk[-4:], "little")
