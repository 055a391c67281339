"""Request that a running trial is suspended at its next step, and decide when not to wait for that."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from autoresearch.core.measurement import Outcome, Suspended

SUSPEND_DEADLINE_S = 60.0  # for one long step and writing some gigabytes; only a trial that hangs takes longer


class SuspendFailed(Exception):
    """The trial was killed instead of suspended: its work since its last checkpoint, if any, is lost."""

    def __init__(self, why: str, step: int | None, wall_s: float | None = None) -> None:
        """``wall_s`` is what the trial took, where it ran on another machine."""
        super().__init__(why)
        self.step = step
        self.wall_s = wall_s


@dataclass(slots=True)
class StopRequest:
    """Sent at most once and never withdrawn: the trial is then suspended, even if ``wanted`` becomes false again."""

    wanted: Callable[[], bool]
    pipe: int  # a byte in it is the request
    deadline_s: float = SUSPEND_DEADLINE_S
    clock: Callable[[], float] = time.monotonic
    sent_at: float | None = None

    def send_if_wanted(self) -> None:
        """Write the request to the pipe once ``wanted`` returns true."""
        if self.sent_at is None and self.wanted():
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self.pipe, b"\0")
            self.sent_at = self.clock()

    def abort_reason(self, step: int | None) -> str:
        """Why the trial must be killed instead of waited for, or an empty string. ``step`` is ``None`` until it trains.

        Until then it imports, builds and compiles: it does not check for requests, and has nothing worth keeping.
        """
        if self.sent_at is None:
            return ""
        if step is None:
            return "it had not begun to train"
        late = self.clock() - self.sent_at > self.deadline_s
        return f"it did not stop within {self.deadline_s:g} s" if late else ""


def suspended_at_last_checkpoint(end: SuspendFailed, before: Suspended | None, wall_s: float) -> Suspended:
    """The state of a trial that was killed while it should suspend: that of the checkpoint it resumed from, if any."""
    return Suspended(
        step=(before.step if before else 0) if end.step is None else end.step,
        resumes_at=before.resumes_at if before else None,
        problem=str(end),
        train_wall_s=before.train_wall_s if before else 0.0,
        val_wall_s=before.val_wall_s if before else 0.0,
        trial_wall_s=wall_s,
    )


def add_earlier_parts(outcome: Outcome | Suspended, before: Suspended | None) -> Outcome | Suspended:
    """Add the time and energy of a trial's earlier parts. Energy is ``None`` unless it is known of every part."""
    if before is None:
        return outcome
    wall_s = (outcome.trial_wall_s or 0.0) + before.trial_wall_s
    known = outcome.energy_j is not None and before.energy_j is not None
    joules = (outcome.energy_j or 0.0) + (before.energy_j or 0.0) if known else None
    return outcome.model_copy(update={"trial_wall_s": wall_s, "energy_j": joules})
