"""What proposers are benched on: the measured or modelled value of every configuration, its noise and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.measurement import Cause
from autoresearch.core.values import Cfg


@dataclass(frozen=True, slots=True)
class Point:
    """One answer of a surface. A lower value is better; what is ``None`` is not known."""

    value: float  # with the noise of its seed
    mean: float  # the true mean, which no proposer sees
    trial_s: float  # virtual seconds of the trial
    steps: int | None = None
    tokens: int | None = None
    flops: int | None = None
    peak_bytes: int | None = None
    curve: tuple[float, ...] | None = None  # of the training loss, mean over the seeds


class Crash(Exception):
    """The configuration ends without a value: out of memory, diverged. ``trial_s``: virtual seconds until then."""

    def __init__(self, detail: str = "", cause: Cause = Cause.ERROR, trial_s: float = 0.0) -> None:
        super().__init__(detail)
        self.detail, self.cause, self.trial_s = detail, cause, trial_s


class NoData(Exception):
    """The surface cannot say: the proposal is refused for want of data and counted, not measured."""


class Surface(Protocol):
    """Deterministic in configuration and seed, so that all proposers meet the same luck."""

    @property
    def baseline(self) -> Cfg: ...

    def point(self, cfg: Cfg, seed: int) -> Point:
        """Raises ``Crash`` or ``NoData``."""
        ...
