"""The energy of the GPU: nothing where nobody tells, and the driver's number where it does."""

from __future__ import annotations

import pynvml
import pytest
import tensorflow as tf

from fne_cli.networks.running.energy import joules


@pytest.fixture
def gpus(monkeypatch):
    """TensorFlow has a GPU, and the driver as many as are asked for, which have taken 1000 J and more."""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)

    def driver(count):
        for name in ("nvmlInit", "nvmlShutdown"):
            monkeypatch.setattr(pynvml, name, lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: count)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: 7)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", lambda device: 1_000_000 + 1_000 * device)

    return driver


def test_without_a_gpu_or_a_driver_nothing_is_told(monkeypatch):
    assert joules() is None or tf.config.list_physical_devices("GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])

    def absent():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert joules() is None


def test_the_drivers_number_in_joules(gpus, monkeypatch):
    gpus(1)
    assert joules() == 1000
    gpus(4)
    assert joules() is None  # which of them it is depends on how CUDA orders them
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert joules() == 1002
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f5e")
    assert joules() == 1007
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    assert joules() is None
