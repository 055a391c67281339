"""The meter of a run: looks at the sensor when it is asked to, which whoever waits does, and keeps account by phase.

It has no thread and never waits. A look costs nothing but a comparison until a second has passed; then one sample is
taken. A sensor that is slow to answer is asked less often, so that metering stays below half a per cent of a core; one
that makes us wait is asked so seldom that a loop that looks is held up for no more than a twentieth of the time.

Nothing that it does raises: a meter that breaks turns itself off and remembers why in ``failed``.
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
from autoresearch.energy.sensors.sensor import NoSensor, Source
from autoresearch.energy.telemetry import Telemetry

EVERY_S = 1.0
LISTEN_S = 0.05  # a sensor that speaks in its own time: each of its lines is stamped when it is heard
MOST_SHARE = 0.003  # of the time, for the samples; the rest of half a per cent is for what surrounds them
MOST_WAITED = 0.05  # of the time, for waiting until the sensor answers
SELDOM_S = 20.0  # however much of a core it takes
GAP_LOOKS = 3.0
MAX_WHY = 300  # characters
TRIED = ("train", "validate")  # phases that are kept without a joule too, for what else they say

P = ParamSpec("P")
T = TypeVar("T")


def disable_on_error(
    nothing: Callable[[], T],
) -> Callable[[Callable[Concatenate[PowerMeter, P], T]], Callable[Concatenate[PowerMeter, P], T]]:
    """What the method raises ends the metering, never the night; it then answers ``nothing()``."""

    def guard(method: Callable[Concatenate[PowerMeter, P], T]) -> Callable[Concatenate[PowerMeter, P], T]:
        @wraps(method)
        def guarded(meter: PowerMeter, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(meter, *args, **kwargs)
            except Exception as e:  # a sensor's library may raise what it likes
                meter.give_up(e)
                return nothing()

        return guarded

    return guard


@dataclass(slots=True)
class PowerMeter:
    """See ``ports.Meter``. Until it is given a sensor it knows nothing, and costs nothing."""

    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time
    cpu_clock: Callable[[], float] = time.thread_time
    asleep_s: Callable[[], float] = machine.asleep_s
    cpu_wait_s: Callable[[], float | None] = lambda: None
    mem_used_bytes: Callable[[], int | None] = machine.mem_used_bytes
    llm_is_here: bool = False  # an LLM server on this machine answers
    source: Source = field(default_factory=NoSensor)
    refused: tuple[str, ...] = ()
    telemetry: Telemetry | None = None
    is_on: bool = False
    failed: str = ""  # why it has turned itself off
    _phase: Phase = "idle"
    _since: float = 0.0
    _waited_s: float | None = None
    _due: float = 0.0
    _cost_s: float = 0.0  # of a sample, smoothed
    _others: frozenset[int] | None = None  # who computes on the device while no trial does
    _is_blind: bool = False  # not even our own trial is seen there: a container
    _integrator: Integrator = field(default_factory=Integrator)
    _totals: dict[Phase, PhaseTotals] = field(default_factory=dict)

    @disable_on_error(lambda: None)
    def use(self, opened: SelectedSensor, telemetry: Telemetry | None = None) -> None:
        """Begin to meter."""
        self.source, self.refused, self.telemetry = opened.source, opened.refused, telemetry
        self.is_on = True
        self._since, self._waited_s = self.clock(), self.cpu_wait_s()
        self._see_others()
        self._cut()

    @property
    def shared(self) -> bool | None:
        """Whether something else is on the device, as far as anybody can tell."""
        if self.llm_is_here:
            return True
        return None if self._others is None or self._is_blind else bool(self._others)

    def close(self) -> None:
        self.is_on = False
        with suppress(Exception):
            self.source.close()
        with suppress(Exception):
            if self.telemetry is not None:
                self.telemetry.close()

    def give_up(self, why: Exception) -> None:
        """Off for good, with what is not settled forgotten: half an account is none."""
        self.failed = f"{type(why).__name__}: {why}"[:MAX_WHY]
        self.close()

    @disable_on_error(lambda: None)
    def poll(self) -> None:
        """Take a sample if it is time; whoever waits calls this as often as it likes."""
        if self.is_on and (t := self.clock()) >= self._due:
            self._take(t)

    @disable_on_error(lambda: None)
    def phase(self, name: Phase) -> None:
        """What happens from now on is this."""
        if self.is_on and name != self._phase:
            self._cut()
            if name == "start":
                self._see_others()
            elif name == "validate":
                self._is_blind = self.source.users() == frozenset()
        self._phase = name

    @disable_on_error(dict[Phase, Power])
    def settle(self, phases: Sequence[Phase] = PHASES) -> dict[Phase, Power]:
        """What ``phases`` took since they were last settled, without those that are not worth telling."""
        if not self.is_on:
            return {}
        self._cut()
        settled = {p: self._totals.pop(p) for p in PHASES if p in phases and p in self._totals}
        powers = {p: tally.power(self.source.method, self.source.scope, self.shared) for p, tally in settled.items()}
        return {p: power for p, power in powers.items() if p in TRIED or self._is_worth_telling(power)}

    @disable_on_error(list[Power])
    def unsettled(self) -> list[Power]:
        """What no record knows yet, up to now."""
        if not self.is_on:
            return []
        since = {self._phase: self.clock() - self._since}
        return [
            tally.power(self.source.method, self.source.scope, self.shared, more_s=since.get(phase, 0.0))
            for phase, tally in self._totals.items()
        ]

    def metering(self, idle: Power | None, price_per_kwh: float | None, currency: str | None) -> Metering:
        """What this start of the daemon measures with."""
        return Metering(
            method=self.source.method,
            scope=self.source.scope,
            about=self.source.about,
            refused=self.refused,
            idle=idle,
            shared=self.shared,
            price_per_kwh=price_per_kwh,
            currency=currency,
        )

    def _is_worth_telling(self, power: Power) -> bool:
        """A moment of which nothing is known is not; a minute of which the sensor said nothing lowers the coverage."""
        return power.energy_j is not None or (self.source.method != "none" and power.span_s >= EVERY_S)

    def _see_others(self) -> None:
        """Nothing of ours is on the device now: whoever is, is somebody else."""
        self._others = self.source.users()
        self.source.watch(self._others or frozenset())

    def _cut(self) -> None:
        """Close the account of the phase that is on: up to this moment everything is its."""
        t = self.clock()
        self._take(t)
        if interval := self._integrator.cut(t):
            self._phase_totals().took(interval)
        waited_s = self.cpu_wait_s()
        known = waited_s is not None and self._waited_s is not None
        self._phase_totals().seconds(t - self._since, waited_s - self._waited_s if known else None)  # type: ignore[operator]
        self._since, self._waited_s = t, waited_s

    def _take(self, t: float) -> None:
        """Whatever the sensor has to say now."""
        began = self.cpu_clock()
        for sample in self.source.read(t):
            self._note(sample, t)
        self._cost_s += 0.1 * (self.cpu_clock() - began - self._cost_s)
        every_s = min(SELDOM_S, max(EVERY_S if self.source.is_prompt else LISTEN_S, self._cost_s / MOST_SHARE))
        answered = self.clock()
        every_s = max(every_s, (answered - t) / MOST_WAITED)
        self._integrator.gap_s = max(GAP_S, GAP_LOOKS * every_s)
        self._due = answered + every_s

    def _note(self, sample: Sample, t: float) -> None:
        memory = sample.mem_used_bytes
        sample = replace(
            sample,
            asleep_s=self.asleep_s(),
            mem_used_bytes=self.mem_used_bytes() if memory is None else memory,
        )
        interval = self._integrator.add(sample)
        tally = self._phase_totals()
        tally.seen(sample)
        if interval:
            tally.took(interval)
        if self.telemetry is not None and self.source.method != "none":
            at = self.wall_clock() - (t - sample.t)
            self.telemetry.write(sample, _watts(sample, interval), at, self._phase, self.source.scope)

    def _phase_totals(self) -> PhaseTotals:
        return self._totals.setdefault(self._phase, PhaseTotals())


def metering_of_this_machine() -> PowerMeter:
    """A meter that knows where this machine says how long processes wait for a core."""
    return PowerMeter(cpu_wait_s=partial(machine.cpu_wait_s, machine.pressure_files()))


def _watts(sample: Sample, interval: Interval | None) -> float | None:
    """The power at the sample, or over the interval before it where the sensor only counts."""
    if sample.watts is not None or interval is None:
        return sample.watts
    return interval.peak_w
