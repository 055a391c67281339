"""The GPU's energy counter, by a fake of NVML: it counts, or it is quiet."""

from __future__ import annotations

import pytest

from autoresearch.training.profiling.gpu_energy_counter import energy_counter, open_energy_counter


class Nvml:
    """What of pynvml is used: a counter in mJ, and the one exception."""

    class NVMLError(Exception):
        pass

    def __init__(self, mj: int = 0, breaks: str = "") -> None:
        self.mj = mj
        self.breaks = breaks
        self.asked: list[str] = []

    def _call(self, name: str) -> None:
        if name == self.breaks:
            raise Nvml.NVMLError(name)

    def nvmlInit(self) -> None:
        self._call("init")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._call("handle")
        self.asked.append(uuid)
        return f"handle of {uuid}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self._call("energy")
        assert handle == "handle of GPU-1"
        return self.mj


def test_it_reads_joules_of_the_gpu_that_was_named() -> None:
    nvml = Nvml(mj=1500)
    read_j = energy_counter("GPU-1", nvml)
    assert read_j() == 1.5
    nvml.mj = 4000
    assert read_j() == 4.0
    assert set(nvml.asked) == {"GPU-1"}


@pytest.mark.parametrize("breaks", ["init", "handle", "energy"])
def test_whatever_nvml_cannot_is_no_error(breaks: str) -> None:
    assert energy_counter("GPU-1", Nvml(breaks=breaks))() is None


def test_a_counter_that_breaks_later_is_no_error_either() -> None:
    nvml = Nvml(mj=1)
    read_j = energy_counter("GPU-1", nvml)
    assert read_j() is not None
    nvml.breaks = "energy"
    assert read_j() is None


def test_a_cpu_has_none() -> None:
    assert open_energy_counter("cpu")() is None
