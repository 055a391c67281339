"""A meter for each of several devices that can be metered apart, so that trials side by side have their own joules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from autoresearch.daemon.run_context import RunContext
from autoresearch.energy.meter import MAX_CPU_SHARE, PowerMeter, build_power_meter
from autoresearch.energy.sensors.nvml import Nvml
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.energy.sensors.sensor import Sensor, SensorWithGauges
from autoresearch.energy.telemetry import Telemetry


@contextmanager
def meter_devices(context: RunContext) -> Iterator[Mapping[str, PowerMeter]]:
    """Meter each of ``executor.devices`` until the run ends, by its name; none where the sensor cannot tell them apart.

    The run's own meter, which is of all of them or of the whole machine, must be open.
    """
    names, control = context.settings.executor.devices, context.control
    sensors = device_sensors(context.meter.sensor) if context.meter.is_on else ()
    if len(names) < 2 or len(sensors) != len(names):
        yield {}
        return
    meters: dict[str, PowerMeter] = {}
    whole = control.poll

    def poll() -> None:
        whole()
        for meter in meters.values():
            meter.poll()

    with ExitStack() as stack:
        for name, sensor in zip(names, sensors, strict=True):
            meters[name] = meter = build_power_meter()
            meter.cpu_share, meter.llm_is_here = MAX_CPU_SHARE / len(names), context.meter.llm_is_here
            meter.use(SelectedSensor(sensor), Telemetry(context.run_dir, device=name))
            stack.callback(meter.close)
        control.poll = poll
        context.observer.notify(f"each of {len(names)} GPUs is metered by itself: every trial has its own joules")
        try:
            yield meters
        finally:
            control.poll = whole
            for name, meter in meters.items():
                if meter.failed:
                    context.observer.notify(f"metering of {name} stopped with an error ({meter.failed})")


def device_sensors(sensor: Sensor) -> tuple[Sensor, ...]:
    """A sensor for each GPU of an open one, in the order in which they were named to it; none of another sensor."""
    found = sensor.gauges if isinstance(sensor, SensorWithGauges) else sensor
    return found.each() if isinstance(found, Nvml) else ()
