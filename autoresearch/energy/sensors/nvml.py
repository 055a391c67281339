"""NVIDIA GPUs by NVML: the board's own energy counter (Volta and newer), else its power; and its other readings.

The counter is preferred: on an A100 or H100 the power is measured only a quarter of the time (arXiv 2312.02741).
``import pynvml`` is the package nvidia-ml-py. NVML creates neither a CUDA context nor a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample, combine_devices

REOPEN_S = 30.0  # between two tries to open a driver that was lost
# Bits of nvmlDeviceGetCurrentClocksThrottleReasons that report a fault. An idle GPU, clocks that the user set and the
# power cap, which a GPU at full load reaches by design, are not faults.
SLOWDOWNS = {0x08: "hw_slowdown", 0x20: "sw_thermal", 0x40: "hw_thermal", 0x80: "hw_power_brake"}


class Nvml:
    """The GPUs that a trial uses, as one sensor. Its constructor raises ``NVMLError``; after that nothing does."""

    scope: Scope | None = "gpu"
    is_polled = True

    def __init__(self, nvml: Any, uuids: Sequence[str]) -> None:
        self._nvml = nvml
        self._uuids = tuple(uuids)
        self._gpus: list[Any] = []
        self._unsupported: set[str] = set()  # queries that this GPU or driver does not support
        self._lost_at: float | None = None
        self._other_pids: frozenset[int] = frozenset()
        self._last_sample_us = 0
        self._open()
        has_counter = all(self._counter_j(gpu) is not None for gpu in self._gpus)
        self.method: Method = "nvml_energy" if has_counter else "nvml_power"
        kind = "energy counter" if has_counter else "power"
        self.about = f"NVML's {kind} of {len(self._gpus)} GPU{'s' * (len(self._gpus) != 1)} ({', '.join(self._uuids)})"

    def read(self, t: float) -> Sequence[Sample]:
        if self._lost_at is not None:
            if t - self._lost_at < REOPEN_S:
                return []
            with contextlib.suppress(self._nvml.NVMLError):
                self._open()
        sample = self._sample(t)
        self._lost_at = None if sample.has_energy else t
        return [sample]

    def compute_pids(self) -> frozenset[int] | None:
        pids: set[int] = set()
        for gpu in self._gpus:
            processes = self._query("processes", partial(self._nvml.nvmlDeviceGetComputeRunningProcesses, gpu))
            if processes is None:
                return None
            pids |= {int(process.pid) for process in processes}
        return frozenset(pids)

    def watch(self, other_pids: frozenset[int]) -> None:
        self._other_pids = other_pids

    def close(self) -> None:
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def each(self) -> tuple[OneGpu, ...]:
        """A sensor for each GPU, over the handles of this one, which must be closed last."""
        return tuple(OneGpu(self, n) for n in range(len(self._gpus)))

    def _open(self) -> None:
        """Get new handles, which a reloaded driver needs. Raises ``NVMLError``."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
        self._nvml.nvmlInit()
        self._gpus = [self._nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in self._uuids]

    def _sample(self, t: float) -> Sample:
        """One sample of all GPUs together."""
        return combine_devices([self._gpu_sample(gpu, t) for gpu in self._gpus], t)

    def _gpu_sample(self, gpu: Any, t: float) -> Sample:
        n = self._nvml
        memory = self._query("memory", lambda: n.nvmlDeviceGetMemoryInfo(gpu).used)
        reasons = self._query("reasons", lambda: n.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        return Sample(
            t,
            power_w=self._power_w(gpu),
            counter_j=self._counter_j(gpu),
            util_pct=self._query("util", lambda: float(n.nvmlDeviceGetUtilizationRates(gpu).gpu)),
            mem_used_bytes=None if memory is None else int(memory),
            temp_c=self._query("temp", lambda: float(n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU))),
            clock_mhz=self._query("clock", lambda: float(n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM))),
            slowdowns=None if reasons is None else slowdown_names(int(reasons)),
            others_util_pct=self._others_util_pct(gpu) if self._other_pids else None,
        )

    def _power_w(self, gpu: Any) -> float | None:
        mw = self._query("power", lambda: self._nvml.nvmlDeviceGetPowerUsage(gpu))
        return None if mw is None else mw / 1000

    def _counter_j(self, gpu: Any) -> float | None:
        joules: float | None = self._query("energy", lambda: read_counter_j(self._nvml, gpu))
        return joules

    def _others_util_pct(self, gpu: Any) -> float | None:
        """Percent of the GPU's processors that ``_other_pids`` used since the last call."""
        samples = self._query("others", lambda: self._process_samples(gpu))
        if samples is None:
            return None
        utils_by_pid: dict[int, list[int]] = {}
        for s in samples:
            self._last_sample_us = max(self._last_sample_us, int(s.timeStamp))
            if int(s.pid) in self._other_pids:
                utils_by_pid.setdefault(int(s.pid), []).append(int(s.smUtil))
        return min(100.0, sum(sum(utils) / len(utils) for utils in utils_by_pid.values()))

    def _process_samples(self, gpu: Any) -> Sequence[Any]:
        try:
            samples: Sequence[Any] = self._nvml.nvmlDeviceGetProcessUtilization(gpu, self._last_sample_us)
        except self._nvml.NVMLError_NotFound:  # no process used the GPU
            return ()
        return samples

    def _query(self, what: str, call: Callable[[], Any]) -> Any:
        """The result, or ``None``. An unsupported query is not repeated: its error costs as much as a result."""
        if what in self._unsupported:
            return None
        try:
            return call()
        except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_FunctionNotFound):
            self._unsupported.add(what)
        except self._nvml.NVMLError:
            pass
        return None


class OneGpu(Nvml):
    """One of the GPUs of an open sensor, which opens the driver, and opens it again after it was lost."""

    def __init__(self, whole: Nvml, n: int) -> None:
        self._whole, self._n = whole, n
        super().__init__(whole._nvml, whole._uuids[n : n + 1])

    def close(self) -> None:
        pass

    def _open(self) -> None:
        self._gpus = [self._whole._gpus[self._n]]


def read_counter_j(nvml: Any, gpu: Any) -> float:
    """Joules that the GPU of this handle has used since its driver was loaded. Raises ``NVMLError``.

    ``nvml`` is the module ``pynvml``. NVML counts in mJ, on Volta and newer.
    """
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000


def open_nvml(uuids: Sequence[str] = ()) -> Nvml | str:
    """The sensor for the GPUs of these UUIDs, or for the only one of the machine; else the reason why not."""
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed (pip install 'autoresearch[nvidia]')"
    try:
        pynvml.nvmlInit()
        gpu_count = pynvml.nvmlDeviceGetCount()
        if not uuids and gpu_count != 1:
            return f"there are {gpu_count} GPUs, and which of them trains is not known"
        sensor = Nvml(pynvml, uuids or [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0))])
    except pynvml.NVMLError as e:
        return str(e)
    if not sensor.read(0.0)[0].has_energy:
        sensor.close()
        return "the GPU reports neither its energy nor its power"
    return sensor


def slowdown_names(mask: int) -> tuple[str, ...]:
    """The names of the faults in NVML's bit mask of throttle reasons."""
    return tuple(name for bit, name in SLOWDOWNS.items() if mask & bit)
