"""The meter of a run, put together: its sensor, what the device takes before anything happens, and the bound on kWh."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from autoresearch.bench import Bench, Watcher
from autoresearch.config import Settings
from autoresearch.energy.meter import PowerMeter, metering_of_this_machine
from autoresearch.energy.telemetry import Telemetry
from autoresearch.errors import ConfigError
from autoresearch.power import Metering, Power, joined
from autoresearch.trajectory import Trajectory

IDLE_S = 3.0  # of samples before the first trial
IDLE_DEADLINE_S = 10.0  # where the sensor takes its time
LOOK_S = 0.1
JOULES_PER_KWH = 3.6e6
WITH_LLM = ("nim", "hybrid")  # proposers that have met their server


class Stoppable(Protocol):
    """What of the control is asked while the device is idle."""

    def stop_reason(self) -> str: ...


def new_meter() -> PowerMeter:
    """One that has no sensor yet: what measures is only known later."""
    return metering_of_this_machine()


@contextmanager
def metered(
    settings: Settings,
    bench: Bench,
    meter: PowerMeter,
    run_dir: Path,
    proposer: str,
    control: Stoppable,
    watcher: Watcher,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Metering | None]:
    """Meter until the run ends; ``None`` where nobody wants it or nothing could be.

    Raises ``ConfigError`` for a bound on kWh that cannot be kept.
    """
    chosen = settings.energy
    wanted = bench.open_source if chosen.meter == "auto" else None
    opened = wanted() if wanted else None
    if chosen.max_kwh and (opened is None or opened.source.method == "none"):
        why = "; ".join(opened.refused) if opened else "nothing is metered"
        hint = "run without it; max_hours and until need no sensor"
        raise ConfigError(f"energy.max_kwh = {chosen.max_kwh:g} cannot be kept: {why}", hint=hint)
    if opened is None:
        yield None
        return
    meter.llm_is_here = proposer in WITH_LLM and is_here(settings.llm.base_url)
    meter.use(opened, Telemetry(run_dir))
    try:
        idle = idle_power(meter, control, sleep) if meter.source.method != "none" else None
        metering = meter.metering(idle, chosen.price_per_kwh, chosen.currency)
        if metering.scope:
            watcher.said(in_words(metering))
        yield metering
    finally:
        meter.close()
        if meter.failed:
            watcher.said(f"the meter gave up ({meter.failed}): what came after is not metered")


def idle_power(meter: PowerMeter, control: Stoppable, sleep: Callable[[float], None]) -> Power | None:
    """What the device takes while nothing of this run is on it; an LLM server may be."""
    began = meter.clock()
    while not control.stop_reason() and meter.clock() - began < IDLE_DEADLINE_S:
        meter.look()
        if any(p.span_s * p.coverage >= IDLE_S for p in meter.unsettled()):
            break
        sleep(LOOK_S)
    return meter.settle().get("idle")


def in_words(metering: Metering) -> str:
    """What is said at the start of a run."""
    idle = metering.idle
    watts = f", {idle.mean_w:.1f} W before the first trial" if idle and idle.mean_w is not None else ""
    shared = "; something else is on the device, and its joules are in every figure" if metering.shared else ""
    return f"metered by {metering.about}, scope {metering.scope}{watts}{shared}"


def spent_reason(settings: Settings, meter: PowerMeter, trajectory: Trajectory) -> str:
    """Why ``energy.max_kwh`` ends the run now; empty to go on."""
    bound = settings.energy.max_kwh
    if bound is None:
        return ""
    if meter.failed:
        return f"energy.max_kwh = {bound:g} can no longer be kept: the meter gave up ({meter.failed})"
    if not meter.is_on or (kwh := spent_kwh(meter, trajectory)) < bound:
        return ""
    return f"{kwh:.3f} of {bound:g} kWh are spent"


def spent_kwh(meter: PowerMeter, trajectory: Trajectory) -> float:
    """What the whole run has used by the sensor's scope. Seconds that nobody metered count as the metered ones did.

    A bound errs on the side of stopping; the records never contain such an estimate.
    """
    known = list(trajectory.power.get(meter.source.scope, {}).values()) if meter.source.scope else []
    total: Power | None = None
    for power in [*known, *meter.unsettled()]:
        total = joined(total, power) if total else power
    if total is None or total.energy_j is None or total.coverage <= 0:
        return 0.0
    return total.energy_j / total.coverage / JOULES_PER_KWH


def is_here(base_url: str) -> bool:
    """Whether a URL is of this machine."""
    host = urlsplit(base_url).hostname or ""
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
