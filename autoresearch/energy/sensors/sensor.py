"""What a meter needs of a sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from autoresearch.core.power import Method, Scope
from autoresearch.energy.sample import Sample


class Source(Protocol):
    """A sensor that is open. Nothing that becomes of it later raises: it then has nothing to say."""

    @property
    def method(self) -> Method: ...

    @property
    def scope(self) -> Scope | None: ...

    @property
    def about(self) -> str:
        """The sensor in words, for a person."""
        ...

    @property
    def is_prompt(self) -> bool:
        """Whether it answers when asked; else it speaks in its own time, and may have nothing new."""
        ...

    def read(self, t: float) -> Sequence[Sample]:
        """What is known at ``t`` and was not told before, in its order. Never waits."""
        ...

    def users(self) -> frozenset[int] | None:
        """The processes that compute on the device; ``None`` where nobody says."""
        ...

    def watch(self, strangers: frozenset[int]) -> None:
        """From now on tell how much of the device these processes use (``Sample.others_util_pct``)."""
        ...

    def close(self) -> None: ...


class Base:
    """What most sensors answer."""

    is_prompt = True

    def users(self) -> frozenset[int] | None:
        return None

    def watch(self, strangers: frozenset[int]) -> None:
        pass

    def close(self) -> None:
        pass


class NoSensor(Base):
    """No sensor at all."""

    method: Method = "none"
    scope: Scope | None = None
    about = "no sensor of power or energy"

    def read(self, t: float) -> Sequence[Sample]:
        return [Sample(t)]


@dataclass(slots=True)
class SensorWithGauges:
    """One sensor for the energy, another for what it does not know: temperature, clocks, utilisation, memory."""

    energy: Source
    gauges: Source
    is_prompt: bool = True

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
        gauges, found = self.gauges.read(t), self.energy.read(t)
        if not gauges:
            return found
        return [replace(gauges[-1], t=s.t, power_w=s.power_w, counter_j=s.counter_j) for s in found]

    def users(self) -> frozenset[int] | None:
        return self.gauges.users()

    def watch(self, strangers: frozenset[int]) -> None:
        self.gauges.watch(strangers)

    def close(self) -> None:
        self.energy.close()
        self.gauges.close()
