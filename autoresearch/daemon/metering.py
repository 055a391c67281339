"""The meter of a run: open its sensor, measure the idle power before the first trial, hold the limit on kWh."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from autoresearch.config.settings import Settings
from autoresearch.core.power import JOULES_PER_KWH, Metering, Power, Scope, joined
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.run_context import RunContext, RunTiming
from autoresearch.energy.meter import PowerMeter, build_power_meter
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.telemetry import Telemetry
from autoresearch.errors import ConfigError
from autoresearch.proposers.factory import LLM_PROPOSERS

UNKNOWN_S = 600.0  # without a single joule measured, after which a limit on kWh ends the run


class Stoppable(Protocol):
    """The part of the control that the measurement of the idle power needs."""

    def stop_reason(self) -> str: ...


def new_meter() -> PowerMeter:
    """A meter without a sensor; the sensor is chosen once the device is known."""
    return build_power_meter()


@contextmanager
def meter_run(
    context: RunContext, select_sensor: Callable[[], SelectedSensor] | None, proposer_name: str
) -> Iterator[Metering | None]:
    """Meter until the run ends; yields ``None`` where metering is off or the backend has no sensor.

    Raises ``ConfigError`` for a limit on kWh that cannot be enforced.
    """
    meter, observer, energy = context.meter, context.observer, context.settings.energy
    opened = select_sensor() if select_sensor and energy.meter == "auto" else None
    if energy.max_kwh:
        refuse_unmetered_limit(energy.max_kwh, opened, context.trajectory)
    if opened is None:
        yield None
        return
    meter.llm_is_here = proposer_name in LLM_PROPOSERS and is_local(context.settings.llm.base_url)
    meter.use(opened, Telemetry(context.run_dir))
    try:
        idle = idle_power(meter, context.control, context.timing) if meter.sensor.method != "none" else None
        metering = meter.metering(idle, energy.price_per_kwh, energy.currency)
        if metering.scope:
            observer.notify(describe_metering(metering))
        yield metering
    finally:
        meter.close()
        if meter.failed:
            observer.notify(f"metering stopped with an error ({meter.failed}): nothing after it was metered")


def refuse_unmetered_limit(max_kwh: float, opened: SelectedSensor | None, trajectory: Trajectory) -> None:
    """Raise ``ConfigError`` where no sensor can enforce ``energy.max_kwh``, or the sensor has another scope."""
    if opened is None or opened.sensor.method == "none":
        why = "; ".join(opened.refused) if opened else "nothing is metered"
        hint = "run without it; max_hours and until need no sensor"
        raise ConfigError(f"energy.max_kwh = {max_kwh:g} cannot be enforced: {why}", hint=hint)
    refuse_another_scope(max_kwh, opened.sensor.scope, trajectory)


def refuse_another_scope(max_kwh: float, scope: Scope | None, trajectory: Trajectory) -> None:
    """Raise ``ConfigError`` where earlier starts metered another scope: the limit counts the whole run."""
    for other, phases in trajectory.power.items():
        joules = sum(p.energy_j or 0.0 for p in phases.values())
        if other != scope and joules > 0:
            spent = f"{joules / JOULES_PER_KWH:.3f} kWh of this run were metered in scope {other}"
            what = f"energy.max_kwh = {max_kwh:g} cannot be enforced: {spent}, and this start meters scope {scope}"
            raise ConfigError(what, hint="run without it, with the earlier sensor, or start a new run")


def idle_power(meter: PowerMeter, control: Stoppable, timing: RunTiming) -> Power | None:
    """Power of the device while no trial of this run is on it; an LLM server may be."""
    began = meter.clock()
    while meter.is_on and not control.stop_reason() and meter.clock() - began < timing.idle_deadline_s:
        meter.poll()
        if any(p.span_s * p.coverage >= timing.idle_s for p in meter.unsettled()):
            break
        timing.sleep(timing.poll_s)
    return meter.settle().get("idle")


def describe_metering(metering: Metering) -> str:
    """One line for the terminal at the start of a run."""
    idle = metering.idle
    watts = f", {idle.mean_w:.1f} W before the first trial" if idle and idle.mean_w is not None else ""
    shared = "; another process is on the device, and its joules are in every figure" if metering.shared else ""
    return f"metered by {metering.about}, scope {metering.scope}{watts}{shared}"


def spent_reason(settings: Settings, meter: PowerMeter, trajectory: Trajectory) -> str:
    """Why ``energy.max_kwh`` ends the run now; empty to continue."""
    limit = settings.energy.max_kwh
    if limit is None:
        return ""
    if meter.failed:
        return f"energy.max_kwh = {limit:g} can no longer be enforced: metering stopped with an error ({meter.failed})"
    if not meter.is_on or (total := spent(meter, trajectory)) is None:
        return ""
    kwh = kwh_of(total)
    if kwh is None:
        silence = f"the sensor has reported nothing in {total.span_s:.0f} s"
        return f"energy.max_kwh = {limit:g} cannot be enforced: {silence}" if total.span_s > UNKNOWN_S else ""
    return f"{kwh:.3f} of {limit:g} kWh are spent" if kwh >= limit else ""


def spent(meter: PowerMeter, trajectory: Trajectory) -> Power | None:
    """Power and energy of the whole run in the sensor's scope, up to now."""
    known = list(trajectory.power.get(meter.sensor.scope, {}).values()) if meter.sensor.scope else []
    total: Power | None = None
    for power in [*known, *meter.unsettled()]:
        total = joined(total, power) if total else power
    return total


def kwh_of(total: Power) -> float | None:
    """Energy with unmetered seconds taken at the mean of the metered ones; ``None`` where no joule is known.

    For the limit only, which should rather stop too early; records never contain this estimate.
    """
    if total.energy_j is None or total.coverage <= 0:
        return None
    return total.energy_j / total.coverage / JOULES_PER_KWH


def is_local(base_url: str) -> bool:
    """Whether the host of a URL is this machine."""
    host = urlsplit(base_url).hostname or ""
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
