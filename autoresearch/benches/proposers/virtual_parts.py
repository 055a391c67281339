"""The surroundings of a loop in virtual time: a trial that is a surface, a clock, a journal, a budget of trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autoresearch.benches.proposers.problem import Problem
from autoresearch.benches.proposers.surface import Crash, Point
from autoresearch.core.llm_calls import Classification, LlmCall
from autoresearch.core.measurement import Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, Observer, OnProgress, Seal, SuspendControl, not_sealed
from autoresearch.core.records import Baseline, Event, TrialEnded
from autoresearch.core.values import Cfg
from autoresearch.storage.files import atomic_write
from autoresearch.storage.journal import seal
from autoresearch.trials.model_shape import ModelShape
from autoresearch.verdicts.stop_limits import Limits

BUDGET_SPENT = "the trials of this night are spent"
# A night in which the server failed like this is not the model's. A timeout or a malformed response is: a real night
# falls back there too.
INFRASTRUCTURE = frozenset(
    {
        Classification.UNREACHABLE,
        Classification.SERVER_ERROR,
        Classification.RATE_LIMITED,
        Classification.MODEL_GONE,
        Classification.REQUEST_REJECTED,
    }
)


@dataclass(slots=True)
class VirtualTime:
    """Recorded seconds of trials plus the real seconds of everything else, which is the proposer and the loop."""

    real: Callable[[], float] = time.monotonic
    start: datetime = field(default_factory=lambda: datetime.now(UTC))
    trials_s: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.real()

    def clock(self) -> float:
        """Virtual seconds since the beginning."""
        return self.real() - self.began + self.trials_s

    def utc(self) -> str:
        """The virtual time of day, in the form of ``machine.utc``."""
        now = self.start + timedelta(seconds=self.clock())
        return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class SurfaceTrial:
    """A ``Trial`` that looks its result up. A trial takes virtual seconds; it is never suspended or stopped early."""

    problem: Problem
    time: VirtualTime

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. Raises ``NoData`` for a configuration that the judge should have refused."""
        try:
            point = self.problem.surface.point(cfg, seed)
        except Crash as crash:
            self.time.trials_s += crash.trial_s
            return Failure(cause=crash.cause, detail=crash.detail, trial_wall_s=crash.trial_s)
        self.time.trials_s += point.trial_s
        return measurement_of(point, cfg, self.problem)


def measurement_of(point: Point, cfg: Cfg, problem: Problem) -> Measurement:
    """A measurement with the value of ``point``. What no table records is derived from the rest, or is 1."""
    yardstick = problem.yardstick
    span_bytes, span_tokens = yardstick.span_bytes or 1, yardstick.span_tokens or 1  # a table is of bits per byte
    nats = point.value * math.log(2) * span_bytes / span_tokens
    steps, tokens = point.steps or 1, point.tokens or 1
    curve = point.curve
    return Measurement(
        val_bpb=point.value,
        val_nats_per_token=nats,
        val_tokens=span_tokens,
        val_bytes=span_bytes,
        train_loss_first=curve[0] if curve else nats,
        train_loss_last=curve[-1] if curve else nats,
        train_steps=steps,
        train_tokens=tokens,
        train_flops=point.flops or 1,
        params=ModelShape.of(cfg, problem.vocab).params,
        mean_step_ms=1000 * point.trial_s / steps,
        tokens_per_s=tokens / point.trial_s if point.trial_s else 0.0,
        train_wall_s=point.trial_s,
        val_wall_s=0.0,
        trial_wall_s=point.trial_s,
        peak_bytes=point.peak_bytes or 1,
        device="table",
        train_loss_curve=curve,
    )


@dataclass(slots=True)
class BatchJournal:
    """A ``Journal`` that is written once, at the end of the night: a bench run makes its attempts durable itself."""

    lines: list[bytes] = field(default_factory=list)

    def append(self, payload: str) -> int:
        """See ``ports.Journal``; durable only after ``write``."""
        self.lines.append(seal(len(self.lines), payload))
        return len(self.lines) - 1

    def write(self, path: Path) -> None:
        """Write the whole journal, in the form that every command reads."""
        atomic_write(path, b"".join(self.lines))


class NeverPaused:
    """The part of ``ports.Control`` that is the same for every night in virtual time: nothing pauses it."""

    __slots__ = ()

    def pause_reason(self) -> str:
        """See ``ports.Control``: a virtual night is not paused."""
        return ""

    def suspend_requested(self) -> bool:
        """See ``ports.Control``."""
        return False

    def wait_while_paused(self) -> None:
        """See ``ports.Control``."""

    def wait(self, seconds: float) -> None:
        """See ``ports.Control``."""


@dataclass(slots=True)
class NightWatch(NeverPaused, Observer):
    """Counts the trials after the baseline's own, and sees what makes a night void."""

    trials: int
    aborted: Callable[[], bool]
    spent: int = 0
    infrastructure: LlmCall | None = None  # the first call that the server failed
    _has_baseline: bool = False

    def recorded(self, event: Event) -> None:
        """See ``ports.Observer``."""
        if isinstance(event, Baseline):
            self._has_baseline = True
        elif isinstance(event, TrialEnded):
            self.spent += self._has_baseline
        for call in getattr(event, "llm_calls", ()):
            if call.classification in INFRASTRUCTURE and self.infrastructure is None:
                self.infrastructure = call

    def stop_reason(self) -> str:
        """See ``ports.Control``."""
        if self.aborted():
            return "stopped at once"
        if self.infrastructure is not None:
            return f"the server failed: {self.infrastructure.classification}"
        return BUDGET_SPENT if self.spent >= self.trials else ""
