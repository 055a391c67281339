"""Asks a running trial to stop at its next step, and knows when not to wait for it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.core.measurement import Outcome, Suspended

SUSPEND_DEADLINE_S = 60.0  # one long step, and some gigabytes written; only what hangs takes longer


class SuspendFailed(Exception):
    """The trial was ended instead of put aside: what it had done since its last checkpoint, if any, is lost."""

    def __init__(self, why: str, step: int | None) -> None:
        super().__init__(why)
        self.step = step


@dataclass(slots=True)
class StopRequest:
    """Pulled at most once, for good: a trial that was asked to stop is put aside, even if nobody wants it any more."""

    wanted: Callable[[], bool]
    pipe: int  # a byte in it is the request
    clock: Callable[[], float] = time.monotonic
    sent_at: float | None = None

    def send_if_wanted(self) -> None:
        if self.sent_at is None and self.wanted():
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self.pipe, b"\0")
            self.sent_at = self.clock()

    def abort_reason(self, step: int | None) -> str:
        """Why the trial is not waited for, or an empty string. ``step`` is ``None`` until it trains.

        Until then it imports, builds and compiles, and looks at nothing: nothing of it is worth keeping either.
        """
        if self.sent_at is None:
            return ""
        if step is None:
            return "it had not begun to train"
        late = self.clock() - self.sent_at > SUSPEND_DEADLINE_S
        return f"it did not stop within {SUSPEND_DEADLINE_S:g} s" if late else ""


def ended_before_its_checkpoint(end: SuspendFailed, before: Suspended | None, wall_s: float) -> Suspended:
    """What is left of a trial that could not be waited for: the checkpoint that it had gone on from, if any."""
    return Suspended(
        step=(before.step if before else 0) if end.step is None else end.step,
        resumes_at=before.resumes_at if before else None,
        problem=str(end),
        train_wall_s=before.train_wall_s if before else 0.0,
        val_wall_s=before.val_wall_s if before else 0.0,
        trial_wall_s=wall_s,
    )


def with_earlier_parts(outcome: Outcome | Suspended, before: Suspended | None) -> Outcome | Suspended:
    """The outcome of a whole trial; ``before`` is what its earlier parts took. Joules are known of all or not."""
    if before is None:
        return outcome
    wall_s = (outcome.trial_wall_s or 0.0) + before.trial_wall_s
    known = outcome.energy_j is not None and before.energy_j is not None
    joules = (outcome.energy_j or 0.0) + (before.energy_j or 0.0) if known else None
    return outcome.model_copy(update={"trial_wall_s": wall_s, "energy_j": joules})
