"""Asks a running trial to stop at its next step, and knows when not to wait for it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

SUSPEND_DEADLINE_S = 60.0  # one long step, and some gigabytes written; only what hangs takes longer


class NotWaitedFor(Exception):
    """The trial was ended instead of put aside: what it had done since its last checkpoint, if any, is lost."""

    def __init__(self, why: str, step: int | None) -> None:
        super().__init__(why)
        self.step = step


@dataclass(slots=True)
class Brake:
    """Pulled at most once, for good: a trial that was asked to stop is put aside, even if nobody wants it any more."""

    wanted: Callable[[], bool]
    pipe: int  # a byte in it is the request
    clock: Callable[[], float] = time.monotonic
    pulled_at: float | None = None

    def pull_if_wanted(self) -> None:
        if self.pulled_at is None and self.wanted():
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self.pipe, b"\0")
            self.pulled_at = self.clock()

    def reason_to_end_it(self, step: int | None) -> str:
        """Why the trial is not waited for, or an empty string. ``step`` is ``None`` until it trains.

        Until then it imports, builds and compiles, and looks at nothing: nothing of it is worth keeping either.
        """
        if self.pulled_at is None:
            return ""
        if step is None:
            return "it had not begun to train"
        late = self.clock() - self.pulled_at > SUSPEND_DEADLINE_S
        return f"it did not stop within {SUSPEND_DEADLINE_S:g} s" if late else ""
