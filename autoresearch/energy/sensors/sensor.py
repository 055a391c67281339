"""The interface between the meter and a sensor of power or energy, and the parts that most sensors share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample


class Sensor(Protocol):
    """An open sensor. A later failure of the device raises nothing: ``read`` then returns no samples, or empty ones."""

    @property
    def method(self) -> Method: ...

    @property
    def scope(self) -> Scope | None: ...

    @property
    def about(self) -> str:
        """The sensor in words, for the user."""
        ...

    @property
    def is_polled(self) -> bool:
        """Whether ``read`` takes a new reading. A sensor that is not polled writes readings at its own interval."""
        ...

    def read(self, t: float) -> Sequence[Sample]:
        """The samples up to ``t`` that were not returned before, oldest first. Never blocks on new data."""
        ...

    def compute_pids(self) -> frozenset[int] | None:
        """The processes that compute on the device; ``None`` where that is not known."""
        ...

    def watch(self, other_pids: frozenset[int]) -> None:
        """From now on report how much of the device these processes use (``Sample.others_util_pct``)."""
        ...

    def close(self) -> None: ...


class SensorBase:
    """Defaults for a polled sensor that does not know the processes on the device."""

    is_polled = True

    def compute_pids(self) -> frozenset[int] | None:
        return None

    def watch(self, other_pids: frozenset[int]) -> None:
        pass

    def close(self) -> None:
        pass


class NoSensor(SensorBase):
    """Stands in where no sensor can be opened: each sample carries a time and nothing else."""

    method: Method = "none"
    scope: Scope | None = None
    about = "no sensor of power or energy"

    def read(self, t: float) -> Sequence[Sample]:
        return [Sample(t)]


@dataclass(slots=True)
class SensorWithGauges:
    """Energy from one sensor; temperature, clocks, utilisation and memory from another."""

    energy: Sensor
    gauges: Sensor
    is_polled: bool = True

    @property
    def method(self) -> Method:
        return self.energy.method

    @property
    def scope(self) -> Scope | None:
        return self.energy.scope

    @property
    def about(self) -> str:
        return self.energy.about

    def read(self, t: float) -> Sequence[Sample]:
        gauges, samples = self.gauges.read(t), self.energy.read(t)
        if not gauges:
            return samples
        return [replace(gauges[-1], t=s.t, power_w=s.power_w, counter_j=s.counter_j) for s in samples]

    def compute_pids(self) -> frozenset[int] | None:
        return self.gauges.compute_pids()

    def watch(self, other_pids: frozenset[int]) -> None:
        self.gauges.watch(other_pids)

    def close(self) -> None:
        self.energy.close()
        self.gauges.close()
