"""NVIDIA GPUs by NVML: the board's own energy counter (Volta and newer), else its power; and all its gauges.

The counter is preferred: on an A100 or H100 the power is measured only a quarter of the time (arXiv 2312.02741).
``import pynvml`` is the package nvidia-ml-py. NVML makes no CUDA context and no thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample, together

REOPEN_S = 30.0  # how often a driver that has gone is looked for
# Bits of nvmlDeviceGetCurrentClocksThrottleReasons that mean that something is wrong. Idleness, clocks that somebody
# set and the power cap, which a GPU at full work runs into by design, do not.
SLOWDOWNS = {0x08: "hw_slowdown", 0x20: "sw_thermal", 0x40: "hw_thermal", 0x80: "hw_power_brake"}


class Nvml:
    """The GPUs that a trial uses, as one sensor. Raises nothing once it is open."""

    scope: Scope | None = "gpu"
    is_prompt = True

    def __init__(self, nvml: Any, uuids: Sequence[str]) -> None:
        self._nvml = nvml
        self._uuids = tuple(uuids)
        self._gpus: list[Any] = []
        self._not_there: set[str] = set()  # what this GPU or driver does not know: asked once
        self._lost_at: float | None = None
        self._strangers: frozenset[int] = frozenset()
        self._seen_us = 0
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
        self._lost_at = None if sample.tells_energy else t
        return [sample]

    def users(self) -> frozenset[int] | None:
        pids: set[int] = set()
        for gpu in self._gpus:
            found = self._ask("processes", partial(self._nvml.nvmlDeviceGetComputeRunningProcesses, gpu))
            if found is None:
                return None
            pids |= {int(process.pid) for process in found}
        return frozenset(pids)

    def watch(self, strangers: frozenset[int]) -> None:
        self._strangers = strangers

    def close(self) -> None:
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _open(self) -> None:
        """Raises ``NVMLError``. A driver that was loaded anew needs new handles."""
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
        self._nvml.nvmlInit()
        self._gpus = [self._nvml.nvmlDeviceGetHandleByUUID(uuid) for uuid in self._uuids]

    def _sample(self, t: float) -> Sample:
        """What all GPUs say, as one."""
        return together([self._of_one(gpu, t) for gpu in self._gpus], t)

    def _of_one(self, gpu: Any, t: float) -> Sample:
        n = self._nvml
        memory = self._ask("memory", lambda: n.nvmlDeviceGetMemoryInfo(gpu).used)
        reasons = self._ask("reasons", lambda: n.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        return Sample(
            t,
            power_w=self._power_w(gpu),
            counter_j=self._counter_j(gpu),
            util_pct=self._ask("util", lambda: float(n.nvmlDeviceGetUtilizationRates(gpu).gpu)),
            mem_used_bytes=None if memory is None else int(memory),
            temp_c=self._ask("temp", lambda: float(n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU))),
            clock_mhz=self._ask("clock", lambda: float(n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM))),
            slowdowns=None if reasons is None else slowdowns_of(int(reasons)),
            others_util_pct=self._others_util_pct(gpu) if self._strangers else None,
        )

    def _power_w(self, gpu: Any) -> float | None:
        mw = self._ask("power", lambda: self._nvml.nvmlDeviceGetPowerUsage(gpu))
        return None if mw is None else mw / 1000

    def _counter_j(self, gpu: Any) -> float | None:
        joules: float | None = self._ask("energy", lambda: read_counter_j(self._nvml, gpu))
        return joules

    def _others_util_pct(self, gpu: Any) -> float | None:
        """What of the GPU's processors the strangers used since this was last asked."""
        samples = self._ask("others", lambda: self._recent(gpu))
        if samples is None:
            return None
        theirs: dict[int, list[int]] = {}
        for s in samples:
            self._seen_us = max(self._seen_us, int(s.timeStamp))
            if int(s.pid) in self._strangers:
                theirs.setdefault(int(s.pid), []).append(int(s.smUtil))
        return min(100.0, sum(sum(utils) / len(utils) for utils in theirs.values()))

    def _recent(self, gpu: Any) -> Sequence[Any]:
        try:
            found: Sequence[Any] = self._nvml.nvmlDeviceGetProcessUtilization(gpu, self._seen_us)
        except self._nvml.NVMLError_NotFound:  # no process did anything
            return ()
        return found

    def _ask(self, what: str, call: Callable[[], Any]) -> Any:
        """The answer, or ``None``. What is not supported is not asked again: a refusal costs as much as an answer."""
        if what in self._not_there:
            return None
        try:
            return call()
        except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_FunctionNotFound):
            self._not_there.add(what)
        except self._nvml.NVMLError:
            pass
        return None


def read_counter_j(nvml: Any, gpu: Any) -> float:
    """Joules that the GPU of this handle has used since its driver was loaded. Raises ``NVMLError``.

    ``nvml`` is the module ``pynvml``. NVML counts in mJ, on Volta and newer.
    """
    return float(nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000


def open_nvml(uuids: Sequence[str] = ()) -> Nvml | str:
    """The GPUs of these UUIDs, or the only one there is; else why not."""
    try:
        import pynvml
    except ImportError:
        return "nvidia-ml-py is not installed (pip install 'autoresearch[nvidia]')"
    try:
        pynvml.nvmlInit()
        there = pynvml.nvmlDeviceGetCount()
        if not uuids and there != 1:
            return f"there are {there} GPUs, and which of them trains is not known"
        source = Nvml(pynvml, uuids or [pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0))])
    except pynvml.NVMLError as e:
        return str(e)
    if not source.read(0.0)[0].tells_energy:
        source.close()
        return "the GPU says neither its energy nor its power"
    return source


def slowdowns_of(bits: int) -> tuple[str, ...]:
    """The names of what is wrong."""
    return tuple(name for bit, name in SLOWDOWNS.items() if bits & bit)
