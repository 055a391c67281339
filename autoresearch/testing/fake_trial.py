"""A trial that computes its result by a formula instead of training."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.core.measurement import CURVE_POINTS, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import (
    NEVER_SUSPENDED,
    Interrupted,
    OnProgress,
    Seal,
    SuspendControl,
    not_sealed,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPoint
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.trials.suspend import add_earlier_parts
from autoresearch.verdicts.stop_limits import Limits, first_above

STEP_S = 0.001
FAKE_LOSS = 5.0  # of every part of the budget, where no curve is given


@dataclass(slots=True)
class FakeTrial:
    """val_bpb is a parabola around one best learning rate, with noise that depends on the seed, or ``bpb``.

    ``fail`` returns a ``Failure`` for configurations that should fail, else ``None``; a trial takes ``takes_s``.
    ``measured`` records configurations and seeds.
    """

    fail: Callable[[Cfg], Failure | None] = lambda _cfg: None
    takes_s: float = 0.0
    aborted: Callable[[], bool] = lambda: False
    measured: list[tuple[Cfg, int]] = field(default_factory=list)
    bpb: Callable[[Cfg, int], float] | None = None
    test_bpb: Callable[[Cfg, int], float] | None = None  # for the vault; that of the validation if not given
    curve: Callable[[Cfg, int], tuple[float, ...]] | None = None  # of the training loss; unknown if not given

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``; deterministic in configuration and seed. A step takes ``STEP_S``.

        It is stopped at its first loss above a limit; without a ``curve`` every loss is ``FAKE_LOSS``.
        """
        self.measured.append((cfg, seed))
        step = (suspend.suspended_at.resumes_at or 0) if suspend.suspended_at else 0
        while step * STEP_S < self.takes_s:
            if self.aborted():
                raise Interrupted("stopped at once")
            if suspend.requested():
                s = step * STEP_S
                return Suspended(step=step, resumes_at=step, train_wall_s=s, val_wall_s=0.0, trial_wall_s=s)
            on_progress("train", 0.5, step, None)
            time.sleep(STEP_S)
            step += 1
        outcome = self.fail(cfg) or self._end(cfg, seed, limits)
        if isinstance(outcome, Measurement):
            seal((self.test_bpb or self.bpb or fake_bpb)(cfg, seed))
        return add_earlier_parts(outcome, suspend.suspended_at)

    def _end(self, cfg: Cfg, seed: int, limits: Limits) -> Measurement | EarlyStop:
        losses = self.curve(cfg, seed) if self.curve else (FAKE_LOSS,) * CURVE_POINTS
        if (part := first_above(losses, limits)) is not None:
            return early_stop(losses[: part + 1], limits[part] or 0.0)
        measured = measurement((self.bpb or fake_bpb)(cfg, seed))
        return measured.model_copy(update={"train_loss_curve": losses}) if self.curve else measured


def early_stop(losses: tuple[float, ...], limit: float) -> EarlyStop:
    """Build the end of a trial that was stopped after these parts of its budget."""
    return EarlyStop(
        stopped_early=StopPoint(fraction=len(losses) / CURVE_POINTS, loss=losses[-1], limit=limit),
        train_loss_curve=losses,
        train_steps=4,
        train_tokens=400,
        train_flops=4 * 10**8,
        tokens_per_s=1000.0,
        train_wall_s=0.0,
        trial_wall_s=0.0,
        peak_bytes=10**6,
        device="fake",
    )


def fake_bpb(cfg: Cfg, seed: int) -> float:
    """Return about 2 bits per byte, best at lr = 3e-3, with 0.1% of noise from configuration and seed only."""
    digest = hashlib.sha256(f"{sha256_of(cfg)}:{seed}".encode()).digest()
    noise = int.from_bytes(digest[:4], "little") / 2**32 - 0.5
    return 2.0 + 0.05 * math.log10(float(cfg["lr"]) / 3e-3) ** 2 + 0.004 * noise


def measurement(val_bpb: float) -> Measurement:
    """Build a complete measurement with this val_bpb."""
    return Measurement(
        val_bpb=val_bpb,
        val_nats_per_token=val_bpb * math.log(2),
        val_tokens=1000,
        val_bytes=1000,
        train_loss_first=8.0,
        train_loss_last=2.0,
        train_steps=10,
        train_tokens=1000,
        train_flops=10**9,
        params=10**6,
        mean_step_ms=1.0,
        tokens_per_s=1000.0,
        train_wall_s=0.0,
        val_wall_s=0.0,
        trial_wall_s=0.0,
        peak_bytes=10**6,
        device="fake",
    )
