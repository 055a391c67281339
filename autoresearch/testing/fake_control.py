"""A control whose pause and stop are set by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class FakeControl:
    """Set ``pause`` or ``stop`` to a reason to request it; ``wait_while_paused`` ends the pause at once.

    With ``now`` the running trial is suspended. ``wait`` calls ``on_wait`` instead of blocking.
    """

    stop: str = ""
    pause: str = ""
    now: bool = False
    on_wait: Callable[[float], None] = lambda _seconds: None

    def stop_reason(self) -> str:
        return self.stop

    def pause_reason(self) -> str:
        return self.pause

    def suspend_requested(self) -> bool:
        return self.now and bool(self.stop or self.pause)

    def wait_while_paused(self) -> None:
        self.pause = ""

    def wait(self, seconds: float) -> None:
        self.on_wait(seconds)
