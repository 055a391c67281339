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

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.power import JOULES_PER_KWH, Metering, Power, Scope, joined
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import TrialBackend
from autoresearch.energy.meter import PowerMeter, build_power_meter
from autoresearch.energy.telemetry import Telemetry
from autoresearch.errors import ConfigError

IDLE_S = 3.0  # of samples before the first trial
IDLE_DEADLINE_S = 10.0  # where the sensor takes its time
POLL_S = 0.1
UNKNOWN_S = 600.0  # without a joule, after which a bound on them is not kept
WITH_LLM = ("nim", "hybrid")  # proposers that have met their server


class Stoppable(Protocol):
    """What of the control is asked while the device is idle."""

    def stop_reason(self) -> str: ...


def new_meter() -> PowerMeter:
    """One that has no sensor yet: what measures is only known later."""
    return build_power_meter()


@contextmanager
def meter_run(
    settings: Settings,
    backend: TrialBackend,
    meter: PowerMeter,
    run_dir: Path,
    proposer: str,
    control: Stoppable,
    observer: Observer,
    trajectory: Trajectory,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Metering | None]:
    """Meter until the run ends; ``None`` where nobody wants it or nothing could be.

    Raises ``ConfigError`` for a bound on kWh that cannot be kept.
    """
    chosen = settings.energy
    wanted = backend.select_sensor if chosen.meter == "auto" else None
    opened = wanted() if wanted else None
    if chosen.max_kwh and (opened is None or opened.sensor.method == "none"):
        why = "; ".join(opened.refused) if opened else "nothing is metered"
        hint = "run without it; max_hours and until need no sensor"
        raise ConfigError(f"energy.max_kwh = {chosen.max_kwh:g} cannot be kept: {why}", hint=hint)
    if chosen.max_kwh and opened:
        refuse_another_scope(chosen.max_kwh, opened.sensor.scope, trajectory)
    if opened is None:
        yield None
        return
    meter.llm_is_here = proposer in WITH_LLM and is_local(settings.llm.base_url)
    meter.use(opened, Telemetry(run_dir))
    try:
        idle = idle_power(meter, control, sleep) if meter.sensor.method != "none" else None
        metering = meter.metering(idle, chosen.price_per_kwh, chosen.currency)
        if metering.scope:
            observer.notify(describe_metering(metering))
        yield metering
    finally:
        meter.close()
        if meter.failed:
            observer.notify(f"the meter gave up ({meter.failed}): what came after is not metered")


def refuse_another_scope(max_kwh: float, scope: Scope | None, trajectory: Trajectory) -> None:
    """A bound is of the whole run. Raises ``ConfigError`` where earlier starts counted what this sensor does not."""
    for other, phases in trajectory.power.items():
        joules = sum(p.energy_j or 0.0 for p in phases.values())
        if other != scope and joules > 0:
            spent = f"{joules / JOULES_PER_KWH:.3f} kWh of this run were metered in scope {other}"
            what = f"energy.max_kwh = {max_kwh:g} cannot be kept: {spent}, and this start meters scope {scope}"
            raise ConfigError(what, hint="run without it, with the sensor of before, or begin a new run")


def idle_power(meter: PowerMeter, control: Stoppable, sleep: Callable[[float], None]) -> Power | None:
    """What the device takes while nothing of this run is on it; an LLM server may be."""
    began = meter.clock()
    while meter.is_on and not control.stop_reason() and meter.clock() - began < IDLE_DEADLINE_S:
        meter.poll()
        if any(p.span_s * p.coverage >= IDLE_S for p in meter.unsettled()):
            break
        sleep(POLL_S)
    return meter.settle().get("idle")


def describe_metering(metering: Metering) -> str:
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
    if not meter.is_on or (total := spent(meter, trajectory)) is None:
        return ""
    kwh = kwh_of(total)
    if kwh is None:
        silent = f"the sensor has said nothing in {total.span_s:.0f} s"
        return f"energy.max_kwh = {bound:g} cannot be kept: {silent}" if total.span_s > UNKNOWN_S else ""
    return f"{kwh:.3f} of {bound:g} kWh are spent" if kwh >= bound else ""


def spent(meter: PowerMeter, trajectory: Trajectory) -> Power | None:
    """What the whole run has used by the sensor's scope, up to now."""
    known = list(trajectory.power.get(meter.sensor.scope, {}).values()) if meter.sensor.scope else []
    total: Power | None = None
    for power in [*known, *meter.unsettled()]:
        total = joined(total, power) if total else power
    return total


def kwh_of(total: Power) -> float | None:
    """Seconds that nobody metered count as the metered ones did; ``None`` where no joule is known.

    A bound errs on the side of stopping; the records never contain such an estimate.
    """
    if total.energy_j is None or total.coverage <= 0:
        return None
    return total.energy_j / total.coverage / JOULES_PER_KWH


def is_local(base_url: str) -> bool:
    """Whether a URL is of this machine."""
    host = urlsplit(base_url).hostname or ""
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
