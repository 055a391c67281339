"""The meter of a run: reads the sensor when it is polled, and adds up the energy of each phase.

It has no thread and never sleeps: every loop that waits polls it. A poll is one comparison until a second has passed;
then one sample is taken. A sensor whose reading costs much CPU time is read less often, so that metering stays below
half a per cent of a core; one that blocks is read so seldom that it delays the loop by at most a twentieth of its time.

None of its methods raises: a meter that fails turns itself off and keeps the reason in ``failed``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from autoresearch.core.power import PHASES, Metering, Phase, Power
from autoresearch.energy import machine
from autoresearch.energy.integrate import GAP_S, Integrator, Interval
from autoresearch.energy.phase_totals import PhaseTotals
from autoresearch.energy.sample import Sample
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import NoSensor, Sensor
from autoresearch.energy.telemetry import Telemetry

SAMPLE_INTERVAL_S = 1.0
STREAM_POLL_S = 0.05  # for a sensor that is not polled: its lines get the time at which they are read
MAX_CPU_SHARE = 0.003  # of a core, for reading the sensor; the rest of half a per cent is for the code around it
MAX_WAIT_SHARE = 0.05  # of the time, for a sensor that blocks
MAX_INTERVAL_S = 20.0  # between two reads, however much CPU time one costs
GAP_INTERVALS = 3.0  # samples further apart than so many intervals are a gap
MAX_FAILURE_CHARS = 300
ALWAYS_REPORTED = ("train", "validate")  # phases that are recorded even without energy, for their other readings

P = ParamSpec("P")
T = TypeVar("T")


def disable_on_error(
    fallback: Callable[[], T],
) -> Callable[[Callable[Concatenate[PowerMeter, P], T]], Callable[Concatenate[PowerMeter, P], T]]:
    """Decorate a method: an exception turns the meter off, not the run, and the method returns ``fallback()``."""

    def guard(method: Callable[Concatenate[PowerMeter, P], T]) -> Callable[Concatenate[PowerMeter, P], T]:
        @wraps(method)
        def guarded(meter: PowerMeter, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(meter, *args, **kwargs)
            except Exception as e:  # a sensor's library may raise anything
                meter.disable(e)
                return fallback()

        return guarded

    return guard


@dataclass(slots=True)
class PowerMeter:
    """See ``ports.Meter``. Until ``use`` passes it a sensor it measures nothing and costs nothing."""

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    cpu_clock: Callable[[], float] = time.thread_time
    suspended_s: Callable[[], float] = machine.suspended_s
    cpu_wait_s: Callable[[], float | None] = lambda: None
    mem_used_bytes: Callable[[], int | None] = machine.mem_used_bytes
    cpu_share: float = MAX_CPU_SHARE  # of a core, at most, for reading the sensor
    llm_is_here: bool = False  # the proposer's LLM server runs on this machine
    sensor: Sensor = field(default_factory=NoSensor)
    refused: tuple[str, ...] = ()
    telemetry: Telemetry | None = None
    is_on: bool = False
    failed: str = ""  # the reason why it turned itself off
    _phase: Phase = "idle"
    _accounted_until: float = 0.0
    _last_cpu_wait_s: float | None = None
    _next_read_at: float = 0.0
    _read_cpu_s: float = 0.0  # CPU time of one read, smoothed
    _other_pids: frozenset[int] | None = None  # processes on the device while no trial runs
    _pids_are_hidden: bool = False  # not even our own trial is listed: a container
    _integrator: Integrator = field(default_factory=Integrator)
    _totals: dict[Phase, PhaseTotals] = field(default_factory=dict)

    @disable_on_error(lambda: None)
    def use(self, selected: SelectedSensor, telemetry: Telemetry | None = None) -> None:
        """Start to meter with this sensor, and to write each sample to ``telemetry``."""
        self.sensor, self.refused, self.telemetry = selected.sensor, selected.refused, telemetry
        self.is_on = True
        self._accounted_until, self._last_cpu_wait_s = self.clock(), self.cpu_wait_s()
        self._update_other_pids()
        self._close_interval()

    @property
    def shared(self) -> bool | None:
        """Whether another process uses the device; ``None`` where that is not known."""
        if self.llm_is_here:
            return True
        return None if self._other_pids is None or self._pids_are_hidden else bool(self._other_pids)

    def close(self) -> None:
        self.is_on = False
        with suppress(Exception):
            self.sensor.close()
        with suppress(Exception):
            if self.telemetry is not None:
                self.telemetry.close()

    def disable(self, error: Exception) -> None:
        """Turn off for good. What is not settled is dropped: an incomplete sum must not reach a record."""
        self.failed = f"{type(error).__name__}: {error}"[:MAX_FAILURE_CHARS]
        self.close()

    @disable_on_error(lambda: None)
    def poll(self) -> None:
        """Read the sensor if it is time. Loops that wait call this at any rate."""
        if self.is_on and (t := self.clock()) >= self._next_read_at:
            self._read_sensor(t)

    @disable_on_error(lambda: None)
    def phase(self, name: Phase) -> None:
        """The time from now on belongs to the phase ``name``."""
        if self.is_on and name != self._phase:
            self._close_interval()
            if name == "start":
                self._update_other_pids()
            elif name == "validate":
                self._pids_are_hidden = self.sensor.compute_pids() == frozenset()
        self._phase = name

    @disable_on_error(dict[Phase, Power])
    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """The energy of ``phases`` since they were last settled, without those that need no record."""
        if not self.is_on:
            return {}
        self._close_interval()
        settled = {p: self._totals.pop(p) for p in PHASES if p in phases and p in self._totals}
        powers = {p: totals.power(self.sensor.method, self.sensor.scope, self.shared) for p, totals in settled.items()}
        return {p: power for p, power in powers.items() if p in ALWAYS_REPORTED or self._is_worth_recording(power)}

    @disable_on_error(list[Power])
    def unsettled(self) -> list[Power]:
        """The energy of each phase up to now that is not settled yet."""
        if not self.is_on:
            return []
        since = {self._phase: self.clock() - self._accounted_until}
        return [
            totals.power(self.sensor.method, self.sensor.scope, self.shared, unrecorded_s=since.get(phase, 0.0))
            for phase, totals in self._totals.items()
        ]

    def metering(self, idle: Power | None, price_per_kwh: float | None, currency: str | None) -> Metering:
        """The record of what this start of the daemon measures with."""
        return Metering(
            method=self.sensor.method,
            scope=self.sensor.scope,
            about=self.sensor.about,
            refused=self.refused,
            idle=idle,
            shared=self.shared,
            price_per_kwh=price_per_kwh,
            currency=currency,
        )

    def _is_worth_recording(self, power: Power) -> bool:
        """A moment without energy needs no record; a longer time without readings does, as it lowers the coverage."""
        return power.energy_j is not None or (self.sensor.method != "none" and power.span_s >= SAMPLE_INTERVAL_S)

    def _update_other_pids(self) -> None:
        """Called while no trial of ours is on the device: every process there now is another one."""
        self._other_pids = self.sensor.compute_pids()
        self.sensor.watch(self._other_pids or frozenset())

    def _close_interval(self) -> None:
        """Add all time and energy up to now to the current phase."""
        t = self.clock()
        self._read_sensor(t)
        if interval := self._integrator.split(t):
            self._phase_totals().add_interval(interval)
        cpu_wait_s = self.cpu_wait_s()
        last_s = self._last_cpu_wait_s
        in_phase_s = None if cpu_wait_s is None or last_s is None else cpu_wait_s - last_s
        self._phase_totals().add_time(t - self._accounted_until, in_phase_s)
        self._accounted_until, self._last_cpu_wait_s = t, cpu_wait_s

    def _read_sensor(self, t: float) -> None:
        """Take the sensor's samples, and set the time of the next read by what this one cost."""
        began = self.cpu_clock()
        for sample in self.sensor.read(t):
            self._add_sample(sample, t)
        self._read_cpu_s += 0.1 * (self.cpu_clock() - began - self._read_cpu_s)
        ended = self.clock()
        shortest_s = SAMPLE_INTERVAL_S if self.sensor.is_polled else STREAM_POLL_S
        interval_s = min(MAX_INTERVAL_S, max(shortest_s, self._read_cpu_s / self.cpu_share))
        interval_s = max(interval_s, (ended - t) / MAX_WAIT_SHARE)
        self._integrator.gap_s = max(GAP_S, GAP_INTERVALS * interval_s)
        self._next_read_at = ended + interval_s

    def _add_sample(self, sample: Sample, t: float) -> None:
        memory = sample.mem_used_bytes
        sample = replace(
            sample,
            suspended_s=self.suspended_s(),
            mem_used_bytes=self.mem_used_bytes() if memory is None else memory,
        )
        interval = self._integrator.add(sample)
        totals = self._phase_totals()
        totals.add_sample(sample)
        if interval:
            totals.add_interval(interval)
        if self.telemetry is not None and self.sensor.method != "none":
            at = self.wall_clock() - (t - sample.t)
            self.telemetry.write(sample, _watts(sample, interval), at, self._phase, self.sensor.scope)

    def _phase_totals(self) -> PhaseTotals:
        return self._totals.setdefault(self._phase, PhaseTotals())


def build_power_meter() -> PowerMeter:
    """A meter that reads this machine's pressure files, for the time that processes wait for a core."""
    return PowerMeter(cpu_wait_s=partial(machine.cpu_wait_s, machine.pressure_files()))


def _watts(sample: Sample, interval: Interval | None) -> float | None:
    """The power at the sample; where the sensor has only a counter, the mean over the interval before it."""
    if sample.watts is not None or interval is None:
        return sample.watts
    return interval.peak_w
