"""What proposers are benched on: the measured or modelled value of every configuration, its noise and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.values import Cfg


@dataclass(frozen=True, slots=True)
class Point:
    """One answer of a surface. A lower value is better."""

    value: float  # with the noise of its seed
    mean: float  # the true mean, which no proposer sees
    trial_s: float  # virtual seconds of the trial


class Crash(Exception):
    """The configuration ends without a value: out of memory, diverged."""


class NoData(Exception):
    """The surface cannot say: the proposal is refused for want of data and counted, not measured."""


class Surface(Protocol):
    """Deterministic in configuration and seed, so that all proposers meet the same luck."""

    @property
    def baseline(self) -> Cfg: ...

    def point(self, cfg: Cfg, seed: int) -> Point:
        """Raises ``Crash`` or ``NoData``."""
        ...
